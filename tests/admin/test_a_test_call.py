"""A test call from a trunk's page: who may place one, what it is, and that it is one call."""

import re

import pytest
from django.contrib.admin.models import LogEntry

from calls.machine.events import CallOrdered, decode
from calls.models import Account, Block, Trunk
from cdr.links import story_url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
def nodes(settings):
    settings.ARI_NODES = {"pbx1": None}


@pytest.fixture
def trunk(db):
    Account.objects.create(code="acme", name="Acme", phones="alice", allowed_prefixes="49")
    Account.objects.create(code="beta", name="Beta", phones="bob", allowed_prefixes="")
    return Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")


@pytest.fixture
def tester(signed_in):
    return signed_in("view_trunk", "originate_call", "view_cdr")


def address(trunk):
    return f"/admin/calls/trunk/{trunk.pk}/test-call/"


def asked(client, trunk, **changes):
    form = client.get(address(trunk)).content.decode()
    key = re.search(r'name="key" value="(\w+)"', form)[1]
    return {"number": "+4930123456", "account": "acme", "phone": "", "key": key} | changes


def mail(redis):
    return [
        decode(each)
        for key in redis.scan_iter("ringmaster:mail:*")
        for each in redis.lrange(key, 0, -1)
    ]


@pytest.mark.parametrize("codenames", [("view_trunk",), ("originate_call",)])
def test_it_takes_both_permissions(signed_in, trunk, codenames, clean_redis):
    client = signed_in(*codenames)

    assert client.get(address(trunk)).status_code == 403
    order = {"number": "+4930123456", "account": "acme", "key": "a"}
    assert client.post(address(trunk), order).status_code == 403
    assert not mail(clean_redis)


def test_why_it_would_be_refused_is_for_those_who_may_see_all_that_decides(
    tester, admin_client, trunk, clean_redis
):
    Block.objects.create(side="callee", prefix="4930", note="never pays")

    told = tester.post(address(trunk), asked(tester, trunk)).content.decode()
    known = admin_client.post(address(trunk), asked(admin_client, trunk)).content.decode()

    assert "this number is not called" in told
    assert "never pays" not in told
    assert "never pays" in known
    assert not mail(clean_redis)


def test_the_trunks_page_offers_it_to_those_who_may(signed_in, trunk):
    client = signed_in("view_trunk", "originate_call")
    page = client.get(f"/admin/calls/trunk/{trunk.pk}/change/").content.decode()

    assert address(trunk) in page


def test_the_trunks_page_does_not_offer_it_to_others(signed_in, trunk):
    page = signed_in("view_trunk").get(f"/admin/calls/trunk/{trunk.pk}/change/").content.decode()

    assert address(trunk) not in page


def test_it_leads_to_the_story_of_the_call(tester, trunk, clean_redis):
    answer = tester.post(address(trunk), asked(tester, trunk))

    (event,) = mail(clean_redis)
    assert isinstance(event, CallOrdered)
    assert (event.trunk, event.phone, event.by) == ("carrier-a", "", "eve")
    assert answer["Location"] == story_url(f"pbx1:{event.channel_id}")
    story = tester.get(answer["Location"])
    assert story.status_code == 200
    assert "Test call by eve" in story.content.decode()


def test_it_is_kept_who_placed_it(tester, trunk):
    tester.post(address(trunk), asked(tester, trunk))

    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_repr) == ("eve", "call of acme to +4930123456")


def test_a_form_that_is_sent_twice_is_one_call(tester, trunk, clean_redis):
    order = asked(tester, trunk)
    locations = {tester.post(address(trunk), order)["Location"] for _ in range(2)}

    assert len(locations) == 1
    assert len(mail(clean_redis)) == 1
    assert LogEntry.objects.count() == 1


def test_a_phone_of_the_account_may_be_called_first(tester, trunk, clean_redis):
    tester.post(address(trunk), asked(tester, trunk, phone="acme/alice"))

    (event,) = mail(clean_redis)
    assert event.phone == "alice"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phone": "beta/bob"}, "This phone is of account beta, not of acme."),
        ({"number": "+33123456789"}, "account acme may not call 33123456789"),
        ({"number": "49@evil"}, "is no number that can be dialled"),
        ({"number": ""}, "This field is required."),
        ({"account": "mallory"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_called_is_said_at_its_field(tester, trunk, clean_redis, changes, words):
    answer = tester.post(address(trunk), asked(tester, trunk, **changes))

    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not mail(clean_redis)


def test_without_an_account_it_says_what_to_do_first(tester, trunk):
    Account.objects.all().delete()

    assert "Add an account" in tester.get(address(trunk)).content.decode()


@pytest.mark.parametrize("key", ["0", "999999", "x"])
def test_a_trunk_that_is_not_there_is_not_found(tester, trunk, key):
    assert tester.get(f"/admin/calls/trunk/{key}/test-call/").status_code == 404
