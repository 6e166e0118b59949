"""A program places a call: what it may, what it is told, and that it is one call however often."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection

from calls.machine.events import CallOrdered, decode
from calls.models import Account, Block, Drain, Limit, Route, RouteTarget, Trunk
from calls.store.heartbeats import LAPSE_MS, PREFIX
from calls.store.mailbox import ATTEND
from cdr.stream import BEGUN_STREAM
from tests.api.test_who_may_ask import problem

ALICE = {"phone": "alice", "number": "+4930123456"}


@pytest.fixture(autouse=True)
def redis(clean_redis):
    return clean_redis


@pytest.fixture(autouse=True)
def nodes(settings):
    settings.ARI_NODES = dict.fromkeys(["pbx1", "pbx2"])


@pytest.fixture
def trunk(acme) -> Trunk:
    """The trunk of the default route of all accounts; acme has two phones."""
    acme.phones, acme.caller_id = "alice bob", "4989777"
    acme.save()
    trunk = Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")
    RouteTarget.objects.create(route=Route.objects.create(prefix=""), trunk=trunk)
    return trunk


def orders(redis):
    """What was ordered, by call."""
    found = {}
    for key in redis.scan_iter("ringmaster:mail:*"):
        (mail,) = redis.lrange(key, 0, -1)
        event = decode(mail)
        assert isinstance(event, CallOrdered)
        found[key.decode().removeprefix("ringmaster:mail:")] = event
    return found


def test_an_account_calls_from_its_phone(acme, trunk, program, redis):
    answer = program(acme)("post", "calls", ALICE)

    assert answer.status_code == 202, answer.content
    ((call, event),) = orders(redis).items()
    assert answer.json() == {"call_id": call}
    assert answer["Location"] == f"/api/v1/calls/{call}"
    assert call == f"pbx1:{event.channel_id}"
    assert (event.account_code, event.phone, event.dialled) == ("acme", "alice", "+4930123456")
    assert (event.by, event.caller_number, event.trunk) == ("token crm-1", "4989777", "")
    assert redis.zscore(ATTEND, call)
    assert redis.xlen(BEGUN_STREAM) == 1


def test_a_call_that_is_placed_is_live(acme, trunk, program):
    ask = program(acme)
    call = ask("post", "calls", ALICE).json()["call_id"]
    shown = ask("get", f"calls/{call}").json()

    assert (shown["state"], shown["account"], shown["callee"]) == ("calling", "acme", "+4930123456")
    assert ask("delete", f"calls/{call}").json()["asked"]


def test_the_same_key_is_the_same_call(acme, trunk, program, redis):
    ask = program(acme)
    answers = [ask("post", "calls", ALICE, Idempotency_Key="a") for _ in range(3)]

    assert len({each.json()["call_id"] for each in answers}) == 1
    assert {each.status_code for each in answers} == {202}
    assert len(orders(redis)) == 1


def test_the_same_key_is_answered_the_same_when_the_call_could_not_be_placed_any_more(
    acme, trunk, program, redis
):
    ask = program(acme)
    first = ask("post", "calls", ALICE, Idempotency_Key="a").json()
    acme.phones = "bob"
    acme.save()

    assert ask("post", "calls", ALICE, Idempotency_Key="a").json() == first
    problem(ask("post", "calls", ALICE, Idempotency_Key="b"), 422, "cannot-place")


def test_the_same_key_with_another_call_is_refused(acme, trunk, program, redis):
    ask = program(acme)
    call = ask("post", "calls", ALICE, Idempotency_Key="a").json()["call_id"]
    told = problem(
        ask("post", "calls", ALICE | {"phone": "bob"}, Idempotency_Key="a"), 422, "key-taken"
    )

    assert f"another call was ordered, {call}" in told["detail"]
    assert len(orders(redis)) == 1


def test_without_a_key_each_request_is_a_call(acme, trunk, program, redis):
    ask = program(acme)
    for _ in range(2):
        ask("post", "calls", ALICE)

    assert len(orders(redis)) == 2


def test_keys_of_two_tokens_have_nothing_to_do_with_each_other(acme, trunk, program, redis):
    for _ in range(2):
        program(acme)("post", "calls", ALICE, Idempotency_Key="a")

    assert len(orders(redis)) == 2


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_are_one_call(roles, program, redis, settings):
    settings.API_REQUESTS_PER_S = 0
    acme = Account.objects.create(code="acme", name="Acme", phones="alice", allowed_prefixes="")
    trunk = Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")
    RouteTarget.objects.create(route=Route.objects.create(prefix=""), trunk=trunk)
    ask = program(acme)

    def once(_):
        try:
            return ask("post", "calls", ALICE, Idempotency_Key="a").json()["call_id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        calls = set(pool.map(once, range(50)))

    assert len(calls) == 1
    assert list(orders(redis)) == list(calls)
    assert redis.xlen(BEGUN_STREAM) == 1


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"phone": "mallory"}, "phone", "no phone of account acme: its phones are alice, bob"),
        ({"phone": "alice/sip:1@192.0.2.1"}, "phone", "is no phone of account acme"),
        ({"phone": ""}, "phone", "Say which phone"),
        ({"number": "4930@evil"}, "number", "is no number that can be dialled"),
        ({"number": "4930&PJSIP/1"}, "number", "is no number that can be dialled"),
        ({"number": "12"}, "number", "no telephone number with its country code"),
        ({"number": "49,30"}, "number", "is no number that can be dialled"),
        ({"caller": "49@x"}, "caller", "is no telephone number"),
    ],
)
def test_what_cannot_be_placed_calls_nobody_and_says_why(
    acme, trunk, program, redis, change, field, words
):
    told = problem(program(acme)("post", "calls", ALICE | change), 422, "cannot-place")

    assert words in told["detail"]
    assert [each["field"] for each in told["errors"]] == [field]
    assert not redis.keys("ringmaster:mail:*")
    assert not redis.keys("ringmaster:order:*")


def test_a_call_that_the_account_may_not_make_rings_no_phone(acme, trunk, program, redis):
    acme.allowed_prefixes = "33"
    acme.save()
    told = problem(program(acme)("post", "calls", ALICE), 422, "cannot-place")

    assert "account acme may not call 4930123456" in told["detail"]
    assert not orders(redis)


SECRETS = ("never pays", "carrier-a", "secret-rule")


@pytest.mark.parametrize("refused_by", ["block", "route", "limit", "trunk"])
def test_who_places_calls_learns_no_entry_note_limit_or_trunk_that_refuses_them(
    acme, boss, trunk, program, redis, redis_url, settings, refused_by
):
    """As its call records do not tell an account why, and by which carrier not."""
    settings.LIMITS_REDIS_URL = redis_url
    if refused_by == "block":
        Block.objects.create(side="callee", prefix="4930", account=acme, note="never pays")
    elif refused_by == "route":
        Route.objects.create(prefix="4930", action="block", note="secret-rule")
    elif refused_by == "limit":
        Limit.objects.create(scope="global", metric="concurrent", value=1, note="secret-rule")
        redis.zadd("ringmaster:limit:concurrent:global:", {"pbx1:1.1": 9_000_000_000_000})
    else:
        Trunk.objects.update(enabled=False)

    told = program(acme)("post", "calls", ALICE)
    known = program(boss)("post", "calls", ALICE | {"account": "acme"})
    dull = program(boss, "calls:originate")("post", "calls", ALICE | {"account": "acme"})

    assert told.status_code == known.status_code == dull.status_code == 422
    for answer in (told, dull):
        assert not [each for each in SECRETS if each in answer.content.decode()]
        assert "The call would be refused: " in answer.json()["detail"]
    assert told.json()["detail"] == dull.json()["detail"] != known.json()["detail"]
    assert not orders(redis)


def test_a_limit_that_is_reached_rings_no_phone(acme, trunk, program, redis, redis_url, settings):
    settings.LIMITS_REDIS_URL = redis_url
    for metric in ("concurrent", "cps"):
        Limit.objects.create(scope="account", target="acme", metric=metric, value=1)
    ask = program(acme)
    assert ask("post", "calls", ALICE, Idempotency_Key="a").status_code == 202
    redis.zadd("ringmaster:limit:concurrent:account:acme", {"pbx1:1.1": 9_000_000_000_000})
    refused = problem(ask("post", "calls", ALICE, Idempotency_Key="b"), 422, "cannot-place")

    assert "account acme: 1 concurrent" in refused["detail"]
    assert len(orders(redis)) == 1
    redis.delete("ringmaster:limit:concurrent:account:acme")
    again = ask("post", "calls", ALICE, Idempotency_Key="b")
    assert again.status_code == 202, "nothing was placed under that key"


def test_a_second_that_is_full_is_over_when_the_phone_is_answered(
    acme, trunk, program, redis, redis_url, settings
):
    settings.LIMITS_REDIS_URL = redis_url
    Limit.objects.create(scope="account", target="acme", metric="cps", value=1)
    seconds, us = redis.time()
    redis.lpush("ringmaster:limit:cps:account:acme", seconds * 1_000_000 + us)

    assert program(acme)("post", "calls", ALICE).status_code == 202


def test_an_account_orders_neither_for_others_nor_by_trunk_or_node(acme, trunk, program, redis):
    ask = program(acme)
    problem(ask("post", "calls", ALICE | {"account": "other"}), 403, "other-account")
    problem(ask("post", "calls", ALICE | {"trunk": "carrier-a"}), 403, "staff-only")
    problem(ask("post", "calls", ALICE | {"node": "pbx2"}), 403, "staff-only")

    assert not orders(redis)


def test_a_token_without_the_scope_places_nothing(acme, trunk, program, redis):
    problem(program(acme, "calls:read")("post", "calls", ALICE), 403, "no-scope")

    assert not orders(redis)


def test_staff_try_a_trunk_without_a_phone(acme, boss, program, redis, trunk):
    Trunk.objects.create(name="new", dial_string="PJSIP/{number}@new")
    test = {"number": "+4930123456", "account": "acme", "trunk": "new", "node": "pbx2"}
    answer = program(boss)("post", "calls", test)

    assert answer.status_code == 202, answer.content
    ((call, event),) = orders(redis).items()
    assert call.startswith("pbx2:")
    assert (event.phone, event.trunk) == ("", "new")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr) == (boss, "call of acme to +4930123456")
    assert call in entry.change_message


def test_staff_say_whose_call_it_is_and_by_which_trunk_there_is(acme, boss, program, trunk, redis):
    ask = program(boss)
    problem(ask("post", "calls", ALICE), 422, "cannot-place")
    told = problem(
        ask("post", "calls", ALICE | {"account": "acme", "trunk": "nowhere"}), 422, "cannot-place"
    )
    assert "There is no trunk" in told["detail"]
    told = problem(ask("post", "calls", ALICE | {"account": "x"}), 422, "cannot-place")
    assert "does not exist" in told["detail"]


def test_where_the_switch_is_drained_nobody_is_called(acme, trunk, program, redis):
    Drain.objects.create(kind=Drain.Kind.SWITCH)
    problem(program(acme)("post", "calls", ALICE), 503, "drained")

    assert not orders(redis)


def beats(redis, *notes):
    """ARI bridges that say this of themselves."""
    for number, note in enumerate(notes):
        beat = {"started_ms": 1, "note": note}
        redis.set(f"{PREFIX}bridge:host:{number}", orjson.dumps(beat), px=LAPSE_MS)


@pytest.mark.parametrize(
    ("notes", "node"),
    [
        (["pbx1 hears nothing, pbx2 listens"], "pbx2"),
        (["pbx1 connects", "pbx2 stands by", "pbx2 listens, pbx1 stands by"], "pbx2"),
        (["pbx1 listens, pbx2 listens"], "pbx1"),
        (["pbx1 connects, pbx2 connects"], "pbx1"),
        ([], "pbx1"),
    ],
    ids=["hears nothing", "is not connected", "both", "neither", "no bridge"],
)
def test_a_call_is_placed_on_a_node_that_is_heard_where_one_is(
    acme, trunk, program, redis, notes, node
):
    beats(redis, *notes)

    assert program(acme)("post", "calls", ALICE).json()["call_id"].startswith(f"{node}:")


def test_on_the_node_that_was_named_whether_it_is_heard_or_not(acme, boss, trunk, program, redis):
    beats(redis, "pbx1 listens, pbx2 connects")
    order = ALICE | {"account": "acme", "node": "pbx2"}

    assert program(boss)("post", "calls", order).json()["call_id"].startswith("pbx2:")


def test_a_call_is_placed_on_a_node_that_is_not_drained(acme, trunk, program, redis):
    Drain.objects.create(kind=Drain.Kind.NODE, node="pbx1")
    call = program(acme)("post", "calls", ALICE).json()["call_id"]

    assert call.startswith("pbx2:")
