"""A trunk whose attempts keep failing is skipped, tried now and then, and comes back by itself."""

from dataclasses import replace

import pytest

from calls.limits.health import BUCKET_MS, BUCKETS, DEGRADED, DOWN, LEAST
from calls.limits.rules import Health, bind
from calls.machine.commands import AddToBridge, CreateChannel, FindRoute
from calls.machine.events import CommandFailed
from calls.machine.proofs import settled
from calls.store.counters import STATES, trial_key
from tests.limits.calls import call
from tests.machine.world import A, World, b, entered, plan, target

# --- What an attempt says of its trunk: pure ------------------------------------------------------


class Listening(World):
    """A world that writes down what is told of trunks."""

    def decide(self, event):
        before = self.session
        super().decide(event)
        self.told_of = [*getattr(self, "told_of", ()), *settled(before, self.session)]


def heard(act, **changes):
    world = Listening(**changes)
    world.hear(entered())
    world.hear_all()
    act(world)
    world.hear_all()
    return world.told_of


@pytest.mark.parametrize(
    ("cause", "sip_code"), [(34, 503), (38, 500), (27, 502), (21, 401), (21, 407), (102, 408)]
)
def test_congestion_silence_and_a_refused_login_are_the_trunks_fault(cause, sip_code):
    assert heard(lambda world: world.end(b(), cause, sip_code)) == [("carrier-a", False)]


@pytest.mark.parametrize(
    ("cause", "sip_code"), [(17, 486), (1, 404), (21, 403), (21, 603), (19, 480), (28, 484)]
)
def test_a_callee_who_cannot_be_had_proves_the_trunk(cause, sip_code):
    assert heard(lambda world: world.end(b(), cause, sip_code)) == [("carrier-a", True)]


def test_a_dial_that_times_out_without_ringing_is_the_trunks_fault():
    assert heard(lambda world: world.end(b(), soft=True)) == [("carrier-a", False)]


def test_a_ring_proves_the_trunk_once_whatever_comes_after():
    def act(world):
        world.ring(b())
        world.hear_all()
        world.end(b(), 34, 503)

    assert heard(act) == [("carrier-a", True)]


def test_an_answer_without_a_ring_proves_the_trunk():
    assert heard(lambda world: world.answer(b())) == [("carrier-a", True)]


def test_a_caller_who_gives_up_says_nothing_of_the_trunk():
    assert heard(lambda world: world.end(A, 127)) == []


def test_an_end_that_nobody_heard_says_nothing_of_the_trunk():
    def act(world):
        world.end(b())
        world.told.clear()
        world.doubt()

    assert heard(act) == []


AWAY = CommandFailed(0, FindRoute(), "node demo could not be reached", of_node=True)


@pytest.mark.parametrize("unknown", [False, True])
def test_an_asterisk_that_cannot_be_reached_is_no_trunks_fault(unknown):
    """A node that is down would else set a good backup trunk down, attempt by attempt."""
    both = plan(target("carrier-a"), target("carrier-b"))
    broken = {CreateChannel: replace(AWAY, unknown=unknown)}

    assert heard(lambda world: None, found=both, broken=broken) == []


def test_a_dial_string_that_asterisk_can_make_nothing_of_is_the_trunks_fault():
    broken = {CreateChannel: "no such endpoint there"}

    assert heard(lambda world: None, broken=broken) == [("carrier-a", False)]


def test_a_set_up_that_came_to_nothing_on_our_side_says_nothing_of_the_trunk():
    world = Listening(broken={AddToBridge: AWAY})
    world.hear(entered())
    world.hear_all()
    world.doubt()
    world.hear_all()

    assert world.session.legs[0].outcome == "failed"
    assert world.told_of == []


def test_each_attempt_of_a_call_says_its_own():
    def act(world):
        world.end(b(1), 34, 503)
        world.hear_all()
        world.ring(b(2))

    both = plan(target("carrier-a"), target("carrier-b"))
    assert heard(act, found=both) == [("carrier-a", False), ("carrier-b", True)]


# --- Judging, on a real Redis ---------------------------------------------------------------------


async def note(limits, ok=0, bad=0, trunk="carrier-a"):
    for works in [True] * ok + [False] * bad:
        limits.proofs.note(trunk, works)
    await limits.flush()
    state = limits.proofs.unwell.get(trunk)
    return state.health if state else Health.UP


@pytest.mark.parametrize(
    ("ok", "bad", "health"),
    [
        (0, LEAST - 1, "up"),
        (0, LEAST, "down"),
        (LEAST, 0, "up"),
        (8, 2, "up"),
        (7, 3, "degraded"),
        (3, 7, "degraded"),
        (2, 8, "down"),
    ],
)
async def test_a_trunk_is_judged_by_the_share_that_failed_of_enough_attempts(
    limits, ok, bad, health
):
    assert (LEAST, DEGRADED, DOWN) == (10, 0.3, 0.8)
    assert await note(limits, ok, bad) == health


async def test_outcomes_of_all_processes_are_judged_together(make_limits):
    one, other = make_limits(), make_limits()

    assert await note(one, bad=6) == Health.UP
    assert await note(other, bad=6) == Health.DOWN
    assert await note(one) == Health.DOWN


async def test_a_change_is_logged_in_one_sentence_by_one_process(make_limits, caplog):
    caplog.set_level("INFO")
    one, other = make_limits(), make_limits()
    await note(one, ok=1, bad=9)
    for each in (one, other, one):
        await each.flush()
    await note(other, ok=1)

    assert [each.message for each in caplog.records] == [
        "Trunk carrier-a is down: 9 of 10 attempts failed in 60 s. It is skipped but for a trial "
        "call every 15 s.",
        "Trunk carrier-a is up again: a trial call got through.",
    ]


async def test_a_trunk_that_is_down_stays_down_while_its_trial_calls_fail(limits):
    await note(limits, bad=10)

    assert await note(limits, bad=1) == Health.DOWN


async def test_a_trunk_that_came_back_starts_with_a_clean_sheet(limits):
    await note(limits, bad=10)
    assert await note(limits, ok=1) == Health.UP

    assert await note(limits, bad=LEAST - 1) == Health.UP


async def test_a_degraded_trunk_recovers_when_its_failures_are_old(limits, clean_redis):
    await note(limits, ok=5, bad=5)
    window = "ringmaster:trunk:window:carrier-a"
    for field, count in clean_redis.hgetall(window).items():
        bucket, kind = field.decode().split(":")
        clean_redis.hset(window, f"{int(bucket) - BUCKETS}:{kind}", count)
        clean_redis.hdel(window, field)

    assert await note(limits) == Health.UP
    assert not clean_redis.exists(window, STATES)


async def test_a_window_lapses_with_its_trunk(limits, clean_redis):
    await note(limits, ok=1)

    assert 0 < clean_redis.pttl("ringmaster:trunk:window:carrier-a") <= BUCKETS * BUCKET_MS


async def test_outcomes_wait_for_a_redis_that_is_away(limits, monkeypatch):
    import redis

    async def away(**_):
        raise redis.ConnectionError("away")

    there = limits._health
    limits._health = away
    with pytest.raises(redis.ConnectionError):
        await note(limits, bad=10)
    limits._health = there

    assert await note(limits) == Health.DOWN


# --- Skipping and trying --------------------------------------------------------------------------

BOTH = ("carrier-a", "carrier-b")


async def test_a_trunk_that_is_down_is_skipped_with_its_reason(limits):
    await note(limits, bad=10)
    answer = await limits.reserve(call(1, trunks=BOTH), 1)

    assert [(skip.why, skip.reason) for skip in answer.skipped] == [
        ("down", "trunk carrier-a is down")
    ]


async def test_a_trunk_that_is_down_gets_one_trial_call_at_a_time(limits, clean_redis):
    await note(limits, bad=10)
    clean_redis.delete(trial_key("carrier-a"))
    answers = [await limits.reserve(call(number, trunks=BOTH), 1) for number in range(3)]

    assert [len(answer.skipped) for answer in answers] == [0, 1, 1]
    assert 0 < clean_redis.pttl(trial_key("carrier-a")) <= 15_000


async def test_a_full_trunk_that_is_down_wastes_no_trial(limits, clean_redis):
    from tests.limits.calls import rule

    one = rule("concurrent", 1, "carrier-a", "capacity")
    await limits.reserve(call(0, one), 1)
    await note(limits, bad=10)
    clean_redis.delete(trial_key("carrier-a"))
    answer = await limits.reserve(call(1, one, trunks=BOTH), 1)

    assert [skip.why for skip in answer.skipped] == ["full"]
    assert not clean_redis.exists(trial_key("carrier-a"))


async def test_a_degraded_trunk_is_used(limits):
    await note(limits, ok=5, bad=5)

    assert (await limits.reserve(call(1, trunks=BOTH), 1)).skipped == ()


async def test_a_trunk_that_is_up_by_hand_is_used_whatever_its_attempts_say(make_limits):
    limits = make_limits(bind((), {"carrier-a": Health.UP}))
    await note(limits, bad=10)

    assert (await limits.reserve(call(1, trunks=BOTH), 1)).skipped == ()
