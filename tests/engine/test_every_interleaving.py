"""Whatever comes between any two steps of the workers, a call ends as the explorer's rules say."""

import os
import random
import time
from itertools import count

import pytest

from calls.engine import turn
from calls.limits.rules import bind
from calls.store.counters import Limits
from calls.store.mailbox import Mailboxes, connect
from tests.engine.explorer import ROWS, Deviation, Explorer
from tests.limits.conftest import OpenBook

EXPLORE_S = float(os.environ.get("EXPLORE_SECONDS", "0"))
SEED = int(os.environ.get("EXPLORE_SEED", "0"))


@pytest.fixture
async def explorer(redis_url, clean_redis, monkeypatch):
    monkeypatch.setattr(turn, "LINGER_S", (0.0, 0.0))
    client = connect(redis_url)
    mailboxes = Mailboxes(client)
    await mailboxes.load_scripts()
    limits = Limits(client, OpenBook(bind(ROWS)))
    yield Explorer(mailboxes, clean_redis, limits)
    await limits.close()


async def test_a_call_in_which_nothing_deviates(explorer):
    explored = await explorer.play({})

    assert explored.record.disposition == "answered"
    assert explored.record.talk_ms >= 5_000
    assert explored.steps > 40


async def test_an_ordered_call_in_which_nothing_deviates(explorer):
    explored = await explorer.play({}, ordered=True)

    assert explored.record.disposition == "answered"
    assert explored.record.talk_ms >= 5_000
    assert explored.steps > 46


@pytest.mark.parametrize("ordered", [False, True], ids=["called", "ordered"])
@pytest.mark.parametrize("deviation", Deviation, ids=lambda each: each.name.lower())
async def test_one_deviation_at_every_step(explorer, deviation, ordered):
    for step in count(1):
        explored = await explorer.play({step: deviation}, ordered)
        if explored.steps < step:
            break
    print(f"{explorer.played} interleavings with: {deviation.value}")

    assert explorer.played > 40


FOUND = [
    # A worker took places and froze before it could save that there are any. The next one heard
    # that the caller had left, before it looked for a route, and gave nothing back.
    {9: Deviation.PAUSE, 10: Deviation.LEAVES},
    # An end timed out on its way to the limits, and no other worker came before the call was over:
    # only what the first one keeps to tell later gives the place back.
    {4: Deviation.LATE, 18: Deviation.PAUSE, 25: Deviation.LATE, 31: Deviation.PAUSE},
]
"""Schedules under which something did not hold once."""


@pytest.mark.parametrize("schedule", FOUND, ids=str)
async def test_what_the_explorer_has_found(explorer, schedule):
    await explorer.play(schedule)


@pytest.mark.skipif(not EXPLORE_S, reason="the long form runs with `make explore`")
async def test_several_deviations_drawn_for_a_while(explorer):
    chance = random.Random(SEED)
    end = time.monotonic() + EXPLORE_S
    while time.monotonic() < end:
        steps = chance.sample(range(1, 80), chance.choice([2, 2, 2, 3, 4]))
        schedule = {step: chance.choice(list(Deviation)) for step in steps}
        await explorer.play(schedule, ordered=chance.choice([False, True]))
    print(f"seed {SEED}: {explorer.played} interleavings of two to four deviations")

    assert explorer.played
