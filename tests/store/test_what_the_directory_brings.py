"""What the directory brings of rows that hold at times, of blocklists and of numbering plans."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.errors import RoutingUnavailable
from calls.models import Account, Block, Route, RouteTarget, Trunk
from calls.routing.choice import CallFacts
from calls.routing.numbers import NumberingPlan, recognise
from calls.store import directory as directory_module
from calls.store import lookup
from calls.store.directory import Directory
from tests.routing.configured import MONDAY_NOON, gist

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account():
    return Account.objects.create(code="acme", name="Acme")


def add(prefix, name="a", account=None, **changes):
    of_target = {key: changes.pop(key) for key in ("priority", "weight") if key in changes}
    route = Route.objects.create(prefix=prefix, account=account, **changes)
    trunk, _ = Trunk.objects.get_or_create(
        name=name, defaults={"dial_string": "PJSIP/{number}@" + name}
    )
    RouteTarget.objects.create(route=route, trunk=trunk, **of_target)
    return route


class Worker:
    """One worker's directory, asked as calls come."""

    def __init__(self, monkeypatch):
        self.directory = Directory(7200)
        self.queries = 0
        monkeypatch.setattr(directory_module, "look_up", self._counted)

    def ask(self, dialled="49301", caller="442079", version=1, at_ms=MONDAY_NOON, keys=("acme",)):
        self.queries = 0
        facts = CallFacts("n:1", dialled, caller, keys, at_ms)
        return asyncio.run(self.directory.find(facts, version))

    def close(self):
        """Leave no connection behind: a database with one cannot be dropped."""
        self.directory.close()

    def _counted(self, *asked):
        self.queries += 1
        return lookup.look_up(*asked)


@pytest.fixture
def worker(monkeypatch):
    worker = Worker(monkeypatch)
    yield worker
    worker.close()


@pytest.fixture
def no_database(monkeypatch):
    def gone(*args):
        raise DatabaseError("the server is away")

    return lambda: monkeypatch.setattr(directory_module, "look_up", gone)


def test_a_route_is_found_with_one_query_and_remembered_without(account, worker):
    add("49")
    assert gist(worker.ask()) == ["PJSIP/49301@a"]
    assert worker.queries == 1
    assert gist(worker.ask()) == ["PJSIP/49301@a"]
    assert gist(worker.ask(caller="442179")) == ["PJSIP/49301@a"]
    assert worker.queries == 0


def test_a_change_counts_from_the_next_call_on(account, worker):
    route = add("49")
    worker.ask()
    route.delete()
    assert gist(worker.ask(version=1)) == ["PJSIP/49301@a"]
    assert gist(worker.ask(version=2)) == ("no_route", 1)


def test_what_holds_only_at_times_is_remembered_with_its_times(account, worker):
    add("49", schedule="mon-fri 08:00-18:00")
    add("4", "b", valid_until=datetime(2026, 12, 1, tzinfo=UTC))
    hour_ms = 3_600_000

    assert gist(worker.ask()) == ["PJSIP/49301@a"]
    assert gist(worker.ask(at_ms=MONDAY_NOON + 8 * hour_ms)) == ["PJSIP/49301@b"]
    assert gist(worker.ask(at_ms=MONDAY_NOON + 200 * hour_ms)) == ("no_route", 1)
    assert worker.queries == 0


def test_everything_that_a_row_says_arrives(account, worker):
    account.time_zone, account.country_code, account.national_prefix = "Europe/Paris", "33", "0"
    account.caller_id, account.max_call_s = "33100", 60
    account.short_codes, account.allowed_prefixes = "112 *98", "own 44 own"
    account.allowed_callers, account.refuse_unchecked = "33100 4420", True
    account.save()
    route = add(
        "331",
        account=account,
        priority=2,
        weight=7,
        schedule="daily",
        valid_from=datetime(2026, 1, 1, 12, 30, 0, 250_000, tzinfo=UTC),
        valid_until=datetime(2027, 1, 1, tzinfo=UTC),
    )
    RouteTarget.objects.update(strip_digits=2, add_prefix="9")
    Trunk.objects.update(
        ring_timeout_s=9,
        strip_digits=1,
        add_prefix="+",
        rewrite_match="x",
        rewrite_replace="1",
        caller_id="44",
        caller_id_policy="account",
        tech_prefix="77#",
        country_code="44",
        international_prefix="011",
        national_prefix="0",
    )
    Block.objects.create(prefix="339", note="premium", account=account, enabled=False)
    Block.objects.create(prefix="331", note="off", enabled=False)
    Block.objects.create(prefix="44", side="caller")

    (row,), callers, any_callers = lookup.look_up(("acme", "alice"), "0123", "442079")

    assert (row.code, row.enabled, row.max_call_s) == ("acme", True, 60)
    plan = NumberingPlan("33", "00", "0", ("112", "*98"))
    assert (row.numbering, row.time_zone) == (plan, "Europe/Paris")
    assert (row.allowed_prefixes, row.allowed_callers) == (("33", "44"), ("33100", "4420"))
    assert row.refuse_unchecked is True
    assert row.caller_id == "33100"
    assert [(block.prefix, block.own, block.enabled) for block in row.blocks] == [
        ("331", False, False)
    ]
    assert [(block.side, block.prefix) for block in callers["acme"]] == [("caller", "44")]
    assert any_callers is True
    (found,) = row.routes
    assert (found.route_id, found.prefix, found.own, found.block) == (route.id, "331", True, False)
    assert (found.valid_from_ms, found.valid_until_ms) == (1_767_270_600_250, 1_798_761_600_000)
    assert (found.schedule, found.enabled) == ("daily", True)
    (target,) = found.targets
    assert (target.trunk, target.dial_string) == ("a", "PJSIP/{number}@a")
    assert (target.enabled, target.ring_timeout_s) == (True, 9)
    assert (target.strip_digits, target.add_prefix) == (1, "+")
    assert (target.route_strip_digits, target.route_add_prefix) == (2, "9")
    assert (target.rewrite_match, target.rewrite_replace) == ("x", "1")
    assert (target.caller_id, target.caller_id_policy) == ("44", "account")
    assert (target.priority, target.weight) == (2, 7)
    assert (target.tech_prefix, target.country_code) == ("77#", "44")
    assert (target.international_prefix, target.national_prefix) == ("011", "0")


def test_another_accounts_routes_and_blocks_are_not_brought(account, worker):
    other = Account.objects.create(code="other", name="Other")
    add("49301", "b", account=other)
    Block.objects.create(prefix="49", account=other)
    Block.objects.create(prefix="44", account=other, side="caller")
    add("49")

    assert gist(worker.ask()) == ["PJSIP/49301@a"]


@pytest.mark.parametrize("side", ["callee", "caller"])
def test_a_blocklist_entry_counts_for_calls_that_are_remembered_otherwise(account, worker, side):
    add("49")
    assert gist(worker.ask(caller="442079")) == ["PJSIP/49301@a"]
    prefix = {"callee": "4930", "caller": "442079"}[side]
    Block.objects.create(side=side, prefix=prefix)

    assert gist(worker.ask(caller="442079", version=2)) == ("blocked", 21)
    expected = ("blocked", 21) if side == "callee" else ["PJSIP/49301@a"]
    assert gist(worker.ask(caller="452079", version=2)) == expected
    assert gist(worker.ask(caller="442079", version=2)) == ("blocked", 21)
    assert worker.queries == 0


@pytest.mark.parametrize("side", ["callee", "caller"])
def test_an_entry_taken_off_the_blocklist_blocks_nobody_any_more(account, worker, side):
    add("49")
    entry = Block.objects.create(side=side, prefix={"callee": "49", "caller": "44"}[side])
    assert gist(worker.ask()) == ("blocked", 21)
    entry.delete()

    assert gist(worker.ask(version=2)) == ["PJSIP/49301@a"]


def test_an_unknown_account_does_not_hide_the_caller_blocklist(account, worker):
    add("49")
    Block.objects.create(side="caller", prefix="442079")

    assert gist(worker.ask(keys=("nobody",))) == ("unauthorized", 21)
    assert gist(worker.ask()) == ("blocked", 21)


def test_a_new_caller_to_a_known_destination_costs_one_query_for_the_blocklist(account, worker):
    add("49")
    Block.objects.create(side="caller", prefix="442079")
    worker.ask(caller="452079")
    worker.ask(caller="462079")
    assert worker.queries == 1
    worker.ask(caller="462079")
    assert worker.queries == 0


def test_with_the_database_gone_known_destinations_still_route(account, worker, no_database):
    add("49")
    Block.objects.create(side="caller", prefix="442079")
    worker.ask(caller="452079")
    worker.ask(caller="442079")
    no_database()

    assert gist(worker.ask(caller="452079", version=2)) == ["PJSIP/49301@a"]
    assert gist(worker.ask(caller="462079", version=2)) == ["PJSIP/49301@a"]
    assert gist(worker.ask(caller="442079", version=2)) == ("blocked", 21)
    with pytest.raises(RoutingUnavailable, match="the server is away"):
        worker.ask(dialled="49302")


@pytest.mark.parametrize("refuses", [False, True])
def test_with_the_database_gone_a_caller_nobody_can_check_is_refused_where_the_account_says_so(
    account, worker, no_database, refuses
):
    account.refuse_unchecked = refuses
    account.save()
    add("49")
    Block.objects.create(side="caller", prefix="442079")
    worker.ask(caller="452079")
    no_database()

    unknown = ("congestion", 41) if refuses else ["PJSIP/49301@a"]
    assert gist(worker.ask(caller="462079", version=2)) == unknown
    assert gist(worker.ask(caller="", version=2)) == unknown
    assert gist(worker.ask(caller="452079", version=2)) == ["PJSIP/49301@a"]


@pytest.mark.parametrize("caller", ["", "491155x", "+00491155"])
def test_an_entry_for_callers_without_a_number_is_brought_for_every_caller(account, worker, caller):
    add("49")
    assert gist(worker.ask(caller=caller)) == ["PJSIP/49301@a"]
    Block.objects.create(side="none", prefix="")

    assert gist(worker.ask(caller=caller, version=2)) == ("blocked", 21)
    assert gist(worker.ask(caller="442079", version=2)) == ["PJSIP/49301@a"]


@pytest.mark.parametrize("barrier", ["entry", "route"])
def test_what_a_rewriting_sends_is_looked_up_too_and_remembered(account, worker, barrier):
    add("99")
    Trunk.objects.update(strip_digits=2)
    assert gist(worker.ask("99449012345")) == ["PJSIP/449012345@a"]
    assert worker.queries == 2
    assert gist(worker.ask("99449012345")) == ["PJSIP/449012345@a"]
    assert worker.queries == 0
    if barrier == "entry":
        Block.objects.create(prefix="4490", account=account)
    else:
        Route.objects.create(prefix="4490", action=Route.Action.BLOCK)

    assert gist(worker.ask("99449012345", version=2)) == ("blocked", 21)


@pytest.mark.parametrize("happens", ["renamed", "deleted"])
def test_an_account_that_goes_while_a_call_is_looked_up_ends_that_call_and_not_the_worker(
    account, worker, monkeypatch, happens
):
    """Between the question for the number dialled and that for the number sent."""
    add("99")
    Trunk.objects.update(strip_digits=2)

    def look_up(*asked):
        worker.queries += 1
        assert worker.queries < 9, "it is asked for ever"
        if worker.queries == 2:
            (account.delete if happens == "deleted" else rename)()
        return lookup.look_up(*asked)

    def rename():
        Account.objects.update(code="acme-old")

    monkeypatch.setattr(directory_module, "look_up", look_up)
    rounds = []

    def choose(*known, **told):
        rounds.append(1)
        assert len(rounds) < 9, "it is decided for ever"
        return decide(*known, **told)

    decide = directory_module.choose
    monkeypatch.setattr(directory_module, "choose", choose)

    assert gist(worker.ask("99449012345")) == ("congestion", 41)
    assert gist(worker.ask("99449012345", version=2)) == ("unauthorized", 21)


def test_with_the_database_gone_what_is_sent_must_be_known_as_well(account, worker, no_database):
    add("99")
    Trunk.objects.update(strip_digits=2)
    worker.ask("99449012345")
    worker.directory._accounts._kept.pop((("acme",), "+449012345"))
    no_database()

    with pytest.raises(RoutingUnavailable, match="the server is away"):
        worker.ask("99449012345", version=2)


def test_one_round_trip_is_all_it_takes(account):
    lookup.look_up(("acme", "alice"), "49301", "442079")
    with CaptureQueriesContext(connection) as captured:
        lookup.look_up(("acme", "alice"), "49302", "442179")

    assert len(captured) == 1


@pytest.fixture
def _postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server that could close a connection")


@pytest.mark.usefixtures("_postgresql")
def test_a_connection_that_the_database_has_closed_costs_no_call(account):
    keys = ("acme", "alice")
    ((row,), _, _) = lookup.look_up(keys, "49301", "442079")
    with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert lookup.look_up(keys, "49301", "442079")[0] == (row,)


@pytest.mark.usefixtures("_postgresql")
def test_a_query_that_fails_on_a_living_connection_is_not_repeated(account, monkeypatch):
    asked = []

    def cancelled(*arguments):
        asked.append(arguments)
        raise OperationalError("canceling statement due to statement timeout")

    lookup.look_up(("acme",), "49301", "442079")
    monkeypatch.setattr(lookup, "look_up_in_transaction", cancelled)
    with pytest.raises(OperationalError):
        lookup.look_up(("acme",), "49301", "442079")
    assert len(asked) == 1


def test_a_short_number_that_begins_with_a_prefix_finds_its_rows(worker, account):
    for name, value in (("country_code", "61"), ("national_prefix", "0"), ("short_codes", "000")):
        setattr(account, name, value)
    account.save()
    add("", "carrier")
    add("000", "emergency")

    assert gist(worker.ask("000")) == ["PJSIP/000@emergency"]
    assert worker.queries == 1

    Block.objects.create(side="callee", prefix="000")
    assert gist(worker.ask("000", version=2)) == ("blocked", 21)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text("012349*", min_size=2, max_size=12),
        st.sampled_from(["000", "0011", "0113", "112", "0*1", "*98", "011", "9999"]),
    ),
    st.sampled_from(["", "+"]),
    st.builds(
        NumberingPlan,
        st.text("1234", max_size=2),
        st.sampled_from(["", "00", "011", "0"]),
        st.text("01", max_size=2),
        st.sampled_from([(), ("000",), ("112", "0x1x", "*98"), ("0*1", "99xx", "*xx#")]),
    ),
)
def test_the_query_and_the_choice_read_a_number_the_same_way(account, digits, plus, plan):
    """The choice looks only at prefixes of its own reading, so another one would find none."""
    account.country_code = plan.country_code
    account.international_prefix = plan.international_prefix
    account.national_prefix = plan.national_prefix
    account.short_codes = " ".join(plan.short_codes)
    account.save()
    Route.objects.all().delete()
    read = recognise(plus + digits, plan)
    if read is None:
        return
    route = Route.objects.create(prefix=read[0][:15])
    Block.objects.all().delete()
    Block.objects.create(side="caller", prefix=read[0][:15])

    (row,), callers, _ = lookup.look_up(("acme",), plus + digits, plus + digits)

    assert [found.route_id for found in row.routes] == [route.id]
    assert len(callers["acme"]) == 1
