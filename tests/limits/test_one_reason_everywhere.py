"""The same state of the counters gives the same reason live, explained and replayed."""

import asyncio

import pytest

from calls.limits.rules import Health
from calls.models import Account, Limit, Route, RouteTarget, Trunk
from calls.routing.choice import CallFacts, Refusal, choose
from calls.store.counters import STATES, Limits, trial_key
from calls.store.limit_book import read_book
from calls.store.lookup import look_up
from calls.store.mailbox import Mailboxes, connect
from calls.whatif.explanation import explain
from calls.whatif.replay import PastCall
from calls.whatif.replay_limits import under_limits
from tests.engine.office import Office
from tests.limits.conftest import OpenBook
from tests.machine.world import CALL, World

NOW_MS = 1_763_900_000_000
LATER_MS = 9_000_000_000_000
NUMBER = "49301"
ALL_DOWN = ("congestion", 34, "trunk a is down, trunk b is down, trunk c is disabled")


@pytest.fixture(autouse=True)
def _routed(db, clean_redis, redis_url, settings):
    """Two trunks that hold one call each, and one that is disabled."""
    settings.LIMITS_REDIS_URL = redis_url
    Account.objects.create(code="demo", name="Demo")
    route = Route.objects.create(prefix="49")
    for priority, (name, more) in enumerate(
        {"a": {"max_calls": 1}, "b": {}, "c": {"enabled": False}}.items(), start=1
    ):
        trunk = Trunk.objects.create(name=name, dial_string="PJSIP/{number}@" + name, **more)
        RouteTarget.objects.create(route=route, trunk=trunk, priority=priority)
    Limit.objects.create(scope="trunk", target="b", metric="concurrent", value=1)


def limit_account():
    Limit.objects.create(scope="account", target="demo", metric="concurrent", value=1)


def use(client, *subjects):
    for subject in subjects:
        client.zadd(f"ringmaster:limit:concurrent:{subject}", {"demo:other": LATER_MS})


def chosen():
    facts = CallFacts(CALL, NUMBER, "", ("demo",), NOW_MS)
    return choose(facts, look_up(facts.account_keys, NUMBER, "")[0], 7200)


def explained():
    return gist(explain(NUMBER, account="demo", at_ms=NOW_MS, call_id=CALL).found)


def replayed(*, after):
    """The last of so many calls that came one after the other and are all still up."""
    calls = [
        PastCall(number, f"demo:{number}", NOW_MS + number, "demo", NUMBER, "", LATER_MS, 0)
        for number in range(after + 1)
    ]
    return gist(under_limits(calls, [chosen()] * len(calls), read_book())[-1])


def gist(found):
    assert isinstance(found, Refusal)
    return str(found.disposition), found.cause, found.reason


def live(redis_url, client):
    """What the record of a call says that is made now."""
    plan, book = chosen(), read_book()

    async def make():
        redis = connect(redis_url)
        mailboxes, limits = Mailboxes(redis), Limits(connect(redis_url), OpenBook(book))
        await mailboxes.load_scripts()
        office = Office(mailboxes, client, World(found=plan), limits=limits)
        await office.begin()
        await office.settle()
        await limits.close()
        await redis.aclose()
        return office.records

    (record,) = asyncio.run(make())
    return str(record.disposition), record.q850_cause, record.reason


def test_trunks_that_are_all_full(clean_redis, redis_url):
    use(clean_redis, "capacity:a", "trunk:b")

    assert explained() == replayed(after=2) == live(redis_url, clean_redis)
    assert explained()[2] == (
        "trunk a is full (trunk a: 1 concurrent), trunk b is full (trunk b: 1 concurrent), "
        "trunk c is disabled"
    )


def test_trunks_that_somebody_set_down_whatever_else_is_reached(clean_redis, redis_url):
    Trunk.objects.filter(enabled=True).update(health_override=Health.DOWN)
    limit_account()
    use(clean_redis, "account:demo")

    assert explained() == replayed(after=1) == live(redis_url, clean_redis) == ALL_DOWN


def test_trunks_that_are_down_whether_or_not_they_are_full(clean_redis, redis_url):
    """A replay asks what a configuration would change, and knows nothing of health."""
    use(clean_redis, "capacity:a", "trunk:b")
    for trunk in "ab":
        clean_redis.hset(STATES, trunk, "down 1763900000000 9 10")
        clean_redis.set(trial_key(trunk), clean_redis.time()[0] * 1000)

    assert explained() == live(redis_url, clean_redis) == ALL_DOWN


def test_a_limit_that_is_reached(clean_redis, redis_url):
    limit_account()
    use(clean_redis, "account:demo")

    assert explained() == replayed(after=1) == live(redis_url, clean_redis)
    assert explained() == ("limited", 31, "the limit is reached: account demo: 1 concurrent")
