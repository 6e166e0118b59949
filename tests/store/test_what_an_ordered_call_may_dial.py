"""What the directory says of ordered calls: which phones may ring, and the one trunk to go by."""

import asyncio

import pytest
from django.db import OperationalError

from calls.errors import RoutingUnavailable, TrunkRefused
from calls.models import Account, Block, Route, Trunk
from calls.routing.choice import CallFacts, Plan, Refusal
from calls.store import directory as directory_module
from calls.store.directory import Directory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def directory(db):
    Account.objects.create(code="acme", name="Acme", phones="alice bob", allowed_prefixes="")
    Account.objects.create(code="carol", name="Carol")
    Account.objects.create(code="gone", name="Gone", phones="alice", enabled=False)
    Trunk.objects.create(
        name="new",
        dial_string="PJSIP/{number}@new",
        strip_digits=2,
        add_prefix="0",
        ring_timeout_s=17,
    )
    found = Directory(7200)
    yield found
    found.close()


def phone(directory, account, name):
    return asyncio.run(directory.phone(account, name))


def way(directory, trunk, dialled="+4930123456"):
    facts = CallFacts("n:1", dialled, "", ("acme",), 1_000, trunk=trunk)
    return asyncio.run(directory.find(facts, 1))


def test_a_phone_that_the_account_names_may_ring(directory):
    assert phone(directory, "acme", "bob") == "PJSIP/bob"


def test_an_account_that_names_none_has_the_one_called_like_its_code(directory):
    assert phone(directory, "carol", "carol") == "PJSIP/carol"


@pytest.mark.parametrize(
    ("account", "name"),
    [("acme", "mallory"), ("acme", "acme"), ("acme", "alice bob"), ("acme", ""), ("gone", "alice")],
)
def test_no_other_phone_rings(directory, account, name):
    with pytest.raises(TrunkRefused):
        phone(directory, account, name)


def test_without_the_database_no_phone_rings(directory, monkeypatch):
    def away(code):
        raise OperationalError("the database is away")

    monkeypatch.setattr(directory_module, "look_up_phones", away)
    with pytest.raises(RoutingUnavailable, match="the database is away"):
        phone(directory, "acme", "alice")


def test_a_call_goes_by_the_trunk_that_is_named_though_no_route_leads_there(directory):
    found = way(directory, "new")

    assert isinstance(found, Plan)
    assert found.route == "trunk new alone"
    (target,) = found.targets
    assert (target.endpoint, target.ring_timeout_s) == ("PJSIP/030123456@new", 17)


def test_a_trunk_that_is_named_leads_around_no_block(directory):
    Block.objects.create(side="callee", prefix="4930")
    found = way(directory, "new")

    assert isinstance(found, Refusal)
    assert found.disposition == "blocked"


def test_nor_around_a_route_that_blocks(directory):
    Route.objects.create(prefix="49", action="block")
    found = way(directory, "new")

    assert isinstance(found, Refusal)
    assert found.disposition == "blocked"


def test_a_disabled_trunk_is_not_tried(directory):
    Trunk.objects.update(enabled=False)
    found = way(directory, "new")

    assert isinstance(found, Refusal)
    assert "trunk new alone: new is disabled" in found.reason


def test_a_trunk_that_is_not_there_is_said(directory):
    found = way(directory, "nowhere")

    assert isinstance(found, Refusal)
    assert found.reason == "there is no trunk 'nowhere'"
