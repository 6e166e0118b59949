"""A worker dies after it was let in; the next finds another configuration and asks again."""

import pytest

from calls.limits.rules import Denial
from calls.store.counters import counter_key
from tests.limits.calls import call, rule

A, B = (rule("concurrent", 1, f"carrier-{each}", "capacity") for each in "ab")


def up(client):
    return [client.zcard(counter_key(each)) for each in (A, B)]


@pytest.mark.parametrize("trunks", [("carrier-b", "carrier-a"), ("carrier-c", "carrier-a")])
async def test_trunks_in_another_order_do_not_move_the_call(limits, clean_redis, trunks):
    await limits.reserve(call(1, A, B, trunks=["carrier-a", "carrier-b"]), 1)
    again = await limits.reserve(call(1, A, B, trunks=trunks), 1)

    assert again.trunk == "carrier-a"
    assert up(clean_redis) == [1, 0]


async def test_a_trunk_that_is_no_target_any_more_gives_its_place_back(limits, clean_redis):
    own, cps = rule("concurrent", 1), rule("cps", 1)
    await limits.reserve(call(1, own, cps, A, B, trunks=["carrier-a"]), 1)
    again = await limits.reserve(call(1, own, cps, A, B, trunks=["carrier-b"]), 1)

    assert again.trunk == "carrier-b"
    assert up(clean_redis) == [0, 1]
    assert clean_redis.zcard(counter_key(own)) == 1


async def test_a_trunk_that_was_skipped_stays_skipped_whatever_its_place(limits):
    await limits.reserve(call(0, A, trunks=["carrier-a"]), 1)
    await limits.reserve(call(1, A, B, trunks=["carrier-a", "carrier-b"]), 1)
    again = await limits.reserve(call(1, A, B, trunks=["carrier-b", "carrier-a"]), 1)

    assert [(skip.trunk, skip.why) for skip in again.skipped] == [("carrier-a", "full")]
    assert again.trunk == "carrier-b"


async def test_a_trunk_that_was_added_is_tried_where_all_others_were_full(limits, clean_redis):
    await limits.reserve(call(0, A, trunks=["carrier-a"]), 1)
    await limits.reserve(call(1, A, trunks=["carrier-a"]), 1)
    again = await limits.reserve(call(1, A, B, trunks=["carrier-a", "carrier-b"]), 1)

    assert again.trunk == "carrier-b"
    assert up(clean_redis) == [1, 1]


async def test_a_refusal_is_repeated_although_its_limit_was_deleted(limits):
    one, other = rule("concurrent", 1), rule("concurrent", 1, "49", "prefix")
    await limits.reserve(call(0, one), 1)
    first = await limits.reserve(call(1, other, one), 1)
    again = await limits.reserve(call(1, other), 1)

    assert (first, again) == (Denial(one.name), Denial(one.name))


async def test_the_end_frees_a_place_whose_limit_the_session_does_not_know(limits, clean_redis):
    """The first worker's rules were others, and it died before it saved them."""
    await limits.reserve(call(1, A), 1)
    await limits.release("demo:1.1", (), 0)

    assert up(clean_redis) == [0, 0]
