"""The engine counts its calls, whatever worker dies in the middle of one."""

import pytest
import redis

from calls.limits.rules import bind
from calls.routing.choice import Refusal
from calls.store.counters import COUNTED_MS, call_key, counter_key
from calls.store.mailbox import Mailboxes, connect
from cdr.record import Disposition
from tests.engine.office import Office
from tests.limits.calls import limit, rule
from tests.machine.world import CALL, A, World, b, plan, target

ROWS = (
    limit(target="acme"),
    limit("cps", 9, "", "global"),
    limit("minutes", 10, "33", "prefix", window="day"),
    limit("concurrent", 1, "carrier-a", "capacity"),
    limit("concurrent", 1, "carrier-b", "capacity"),
)
COUNTERS = [
    "ringmaster:limit:concurrent:account:acme",
    "ringmaster:limit:concurrent:capacity:carrier-a",
    "ringmaster:limit:concurrent:capacity:carrier-b",
]
BOTH = plan(target("carrier-a"), target("carrier-b"))


@pytest.fixture
async def mailboxes(redis_url, clean_redis):
    client = connect(redis_url)
    found = Mailboxes(client)
    await found.load_scripts()
    yield found
    await client.aclose()


@pytest.fixture
def make_office(mailboxes, clean_redis, make_limits):
    def make(*rows, lives=(), found=BOTH):
        clean_redis.flushdb()
        office = Office(mailboxes, clean_redis, World(found=found), limits=make_limits(bind(rows)))
        office.reaper.lives = list(lives)
        return office

    return make


def up(client):
    return [client.zcard(counter) for counter in COUNTERS]


def minutes_ms(client):
    (key,) = client.scan_iter("ringmaster:limit:minutes:*")
    return int(client.get(key))


async def talk(office):
    """The first trunk refuses, the second answers, the caller hangs up after 30 s."""
    await office.begin()
    office.world.end(b(1), 34, 503)
    await office.tell()
    await office.attend()
    office.world.answer(b(2))
    await office.tell()
    await office.attend()
    office.world.now_ms += 30_000
    office.world.end(A)
    await office.tell()
    await office.attend()
    await office.settle()


async def test_a_call_holds_its_places_while_it_is_up(make_office, clean_redis):
    office = make_office(*ROWS)
    await office.begin()

    assert up(clean_redis) == [1, 1, 0]
    assert len(office.session.rules) == len(ROWS)
    office.world.end(b(1), 34, 503)
    await office.tell()
    await office.attend()
    assert up(clean_redis) == [1, 0, 1]


async def test_a_call_that_is_over_holds_nothing_and_its_talk_is_counted(make_office, clean_redis):
    office = make_office(*ROWS)
    await talk(office)

    (record,) = office.records
    assert up(clean_redis) == [0, 0, 0]
    assert minutes_ms(clean_redis) == record.talk_ms > 30_000
    assert clean_redis.hkeys(call_key(CALL)) == [b"over"]
    assert clean_redis.pttl(call_key(CALL)) <= COUNTED_MS
    assert office.limits.proofs.take() == [
        {"name": "carrier-a", "ok": 0, "bad": 1},
        {"name": "carrier-b", "ok": 1, "bad": 0},
    ]


async def test_whenever_a_worker_dies_places_and_talk_are_counted_once(make_office, clean_redis):
    office = make_office(*ROWS)
    office.reaper.steps = 0
    await talk(office)
    steps = office.reaper.steps
    assert steps > 20

    for step in range(1, steps + 1):
        office = make_office(*ROWS, lives=[step])
        await talk(office)
        record = office.records[0]
        assert len(office.records) == 1
        assert up(clean_redis) == [0, 0, 0], step
        assert minutes_ms(clean_redis) == record.talk_ms, step
        assert clean_redis.llen(counter_key(rule("cps", 9, "", "global"))) == 1, step


async def test_a_refused_call_has_a_record_that_names_the_limit(make_office, clean_redis):
    office = make_office(limit(target="acme", value=1))
    clean_redis.zadd(COUNTERS[0], {"demo:other": 9_000_000_000_000})
    await office.begin()
    await office.settle()

    (record,) = office.records
    assert record.disposition == Disposition.LIMITED
    assert record.reason == "the limit is reached: account acme: 1 concurrent"
    assert up(clean_redis) == [1, 0, 0]


async def test_a_call_without_limits_touches_no_counter(make_office, clean_redis):
    office = make_office(limit(target="somebody-else"))
    before = clean_redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    await talk(office)
    asked = clean_redis.info("commandstats")["cmdstat_evalsha"]["calls"] - before

    assert not list(clean_redis.scan_iter("ringmaster:limit:*"))
    office = make_office(*ROWS)
    before = clean_redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    await talk(office)
    with_limits = clean_redis.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    # At the begin, for the second trunk, and at the end.
    assert with_limits - asked == 3


async def test_a_refusal_of_the_directory_asks_at_no_counter(make_office, clean_redis):
    office = make_office(*ROWS, found=Refusal(Disposition.NO_ROUTE, 1, "nowhere", account="acme"))
    await office.begin()
    await office.settle()

    assert office.records[0].disposition == "no_route"
    assert not list(clean_redis.scan_iter("ringmaster:limit:*"))


class Away:
    """A limits Redis that does not answer."""

    async def __call__(self, **_):
        raise redis.ConnectionError("Connection refused")


async def test_without_the_limits_redis_enforced_limits_refuse_and_others_do_not(
    make_office, clean_redis
):
    office = make_office(*ROWS)
    office.limits._reserve = office.limits._release = Away()
    await office.begin()
    await office.settle()
    (record,) = office.records
    assert (record.disposition, record.q850_cause) == ("congestion", 34)
    assert record.reason == (
        "calls cannot be counted, the limits Redis does not answer: Connection refused"
    )

    office = make_office(limit(target="acme", enforce=False))
    there = office.limits._reserve, office.limits._release
    office.limits._reserve = office.limits._release = Away()
    await talk(office)
    assert office.records[0].disposition == "answered"
    office.limits._reserve, office.limits._release = there
    await office.limits._tell_late()
    assert clean_redis.hkeys(call_key(CALL)) == [b"over"]
