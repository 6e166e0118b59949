"""Many short waits share one timer, and each ends as one of `asyncio.timeout` would."""

import asyncio
from itertools import groupby

import pytest
import uvloop

from calls.deadlines import Deadlines

SOON_S = 0.005
LATE_S = 60.0


def _run(scene):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scene)


def _timers(monkeypatch):
    """The times for which the loop is asked to wake somebody."""
    loop = asyncio.get_running_loop()
    asked = []

    class Loop:
        def time(self):
            return loop.time()

        def call_at(self, at_s, *work):
            asked.append(at_s)
            return loop.call_at(at_s, *work)

    deadlines = Deadlines()
    deadlines._loop = Loop()
    monkeypatch.setattr(
        asyncio, "current_task", lambda loop=None, real=asyncio.current_task: real()
    )
    return deadlines, asked


async def _forever():
    await asyncio.get_running_loop().create_future()


def test_what_ends_in_time_gives_what_it_gave():
    async def scene():
        deadlines = Deadlines()
        with deadlines.within(LATE_S):
            await asyncio.sleep(0)
            return "done"

    assert _run(scene()) == "done"


def test_what_takes_too_long_raises_a_timeout_and_its_task_goes_on():
    async def scene():
        deadlines = Deadlines()
        with pytest.raises(TimeoutError), deadlines.within(SOON_S):
            await _forever()
        await asyncio.sleep(0)
        return asyncio.current_task().cancelling()

    assert _run(scene()) == 0


def test_each_of_many_waits_has_its_own_end():
    async def wait(deadlines, seconds):
        try:
            with deadlines.within(seconds):
                await _forever()
        except TimeoutError:
            return seconds

    async def scene():
        deadlines = Deadlines()
        ended = []
        waits = [wait(deadlines, seconds) for seconds in (0.03, 0.01, 0.02)]
        for wait_ in asyncio.as_completed(waits):
            ended.append(await wait_)
        return ended

    assert _run(scene()) == [0.01, 0.02, 0.03]


def test_an_error_within_stays_the_error_that_it_was():
    async def scene():
        with Deadlines().within(LATE_S):
            raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        _run(scene())


def test_a_task_that_somebody_else_cancels_is_cancelled():
    async def wait(deadlines):
        with deadlines.within(LATE_S):
            await _forever()

    async def scene():
        task = asyncio.create_task(wait(Deadlines()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert _run(scene())


def test_a_cancelling_that_meets_the_end_of_the_time_is_not_swallowed():
    async def wait(deadlines):
        with deadlines.within(SOON_S):
            await _forever()

    async def scene():
        deadlines = Deadlines()
        task = asyncio.create_task(wait(deadlines))
        await asyncio.sleep(0)
        (limit,) = deadlines._running
        limit.strike()
        deadlines._running.discard(limit)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert _run(scene())


def test_of_two_limits_in_one_task_the_one_that_is_due_speaks():
    async def scene():
        deadlines = Deadlines()
        with deadlines.within(LATE_S):
            with pytest.raises(TimeoutError), deadlines.within(SOON_S):
                await _forever()
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError), deadlines.within(SOON_S), deadlines.within(LATE_S):
            await _forever()
        return len(deadlines._running)

    assert _run(scene()) == 0


def test_two_limits_of_one_task_that_are_due_at_once_are_one_timeout():
    async def scene():
        deadlines = Deadlines()
        with pytest.raises(TimeoutError), deadlines.within(SOON_S), deadlines.within(SOON_S):
            await _forever()
        await asyncio.sleep(0)
        return asyncio.current_task().cancelling()

    assert _run(scene()) == 0


def test_a_hundred_waits_set_one_timer(monkeypatch):
    async def scene():
        deadlines, asked = _timers(monkeypatch)
        for _ in range(100):
            with deadlines.within(LATE_S):
                await asyncio.sleep(0)
        return len(asked)

    assert _run(scene()) == 1


def test_a_shorter_wait_is_looked_at_in_time_though_a_longer_one_set_the_timer(monkeypatch):
    async def scene():
        deadlines, asked = _timers(monkeypatch)
        with (
            deadlines.within(LATE_S),
            pytest.raises(TimeoutError),
            deadlines.within(SOON_S),
        ):
            await _forever()
        # For the long one, for the short one (again where the loop woke a moment too early), and
        # once more for the long one that was left.
        kinds = ("soon" if at_s < asked[0] - LATE_S / 2 else "late" for at_s in asked)
        return [kind for kind, _ in groupby(kinds)]

    assert _run(scene()) == ["late", "soon", "late"]


def test_a_wait_that_cannot_be_ended_keeps_no_other_from_its_end():
    class Stubborn:
        until_s = 0.0

        def strike(self):
            raise RuntimeError("it does not let itself be cancelled")

    async def scene():
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: told.append(fault))
        deadlines = Deadlines()
        deadlines._running.add(Stubborn())
        with pytest.raises(TimeoutError), deadlines.within(SOON_S):
            await _forever()
        return len(told)

    # Whichever of the two comes first.
    assert [_run(scene()) for _ in range(20)] == [1] * 20
