"""A trunk that goes down or comes back, and minutes that reach their warning: told once each."""

from calls.store.outbox import OUTBOX, waiting
from tests.limits.calls import call, rule
from tests.limits.conftest import limits, make_limits
from tests.limits.test_trunk_health import note

__all__ = ["limits", "make_limits"]
LEAST = 10
"""Attempts by which a trunk is judged."""


def told(client):
    return [(each.event, each.data) for _, each in waiting(client, 100)]


async def test_a_trunk_that_goes_down_and_comes_back_is_told(make_limits, wanted, clean_redis):
    wanted("trunk.down", "trunk.up")
    one, other = make_limits(), make_limits()
    await note(one, bad=LEAST)
    await note(other, bad=1)
    await note(one, ok=1)
    down, up = told(clean_redis)
    facts = {"trunk": "carrier-a", "failed": LEAST, "attempts": LEAST, "state": "down"}
    assert down == ("trunk.down", facts)
    assert (up[0], up[1]["state"]) == ("trunk.up", "up")
    keys = {message.key for _, message in waiting(clean_redis, 9)}
    assert len(keys) == 2


async def test_a_degraded_trunk_is_no_news(limits, wanted, clean_redis):
    wanted("trunk.down", "trunk.up")
    await note(limits, ok=6, bad=4)
    assert limits.proofs.unwell
    assert told(clean_redis) == []


async def test_minutes_that_reach_their_warning_are_told_once(limits, wanted, clean_redis):
    wanted("limit.warned")
    ten = rule("minutes", 10, window="day", warn_percent=10)
    first, second = call(1, ten), call(2, ten)
    for each in (first, second):
        await limits.reserve(each, 0)
    for each in (first, second):
        await limits.release(each.call_id, (ten,), 90_000)
    ((event, data),) = told(clean_redis)
    assert (event, data["minutes"], data["enforced"]) == ("limit.warned", 10, True)
    assert data["limit"] == "account demo: 10 minutes a day"
    assert data["used_ms"] >= 60_000


async def test_where_nobody_wants_it_nothing_is_written(limits, wanted, clean_redis):
    wanted("call.begun")
    ten = rule("minutes", 10, window="day", warn_percent=10)
    await limits.reserve(call(1, ten), 0)
    await limits.release("demo:1.1", (ten,), 600_000)
    await note(limits, bad=LEAST)
    assert limits.proofs.down == ("carrier-a",)
    assert not clean_redis.exists(OUTBOX)
