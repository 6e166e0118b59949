"""Time limits for many short waits at a time, with one timer for all of them.

A call waits some twenty times for what must not take long and mostly takes a millisecond, and
`asyncio.timeout` sets a timer of the event loop for each and takes it back. Here a wait is only
noted, and one timer looks when the first of them would be due: three hundredths of what a calls
worker does are saved by it (docs/decisions/0034-what-a-call-costs.md).
"""

import asyncio
import math
from types import TracebackType


class Deadlines:
    """The time limits of one event loop; made by anybody, for use on that loop alone."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: set[_Limit] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looks_s = math.inf
        """When the timer looks next, by the loop's clock."""

    def within(self, seconds: float) -> "_Limit":
        """The block raises TimeoutError when it takes longer, as one of `asyncio.timeout` does."""
        return _Limit(self, seconds)

    def _begin(self, limit: "_Limit", seconds: float) -> "asyncio.Task[object]":
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("A time limit is for a task: it ends the task's wait.")
        limit.until_s = loop.time() + seconds
        self._running.add(limit)
        if limit.until_s < self._looks_s:
            self._look_at(limit.until_s)
        return task

    def _end(self, limit: "_Limit") -> None:
        self._running.discard(limit)

    def _look_at(self, at_s: float) -> None:
        assert self._loop is not None  # noqa: S101 - _begin() set it
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks_s = self._loop.call_at(at_s, self._look), at_s

    def _look(self) -> None:
        assert self._loop is not None  # noqa: S101 - as above
        self._timer, self._looks_s = None, math.inf
        now_s = self._loop.time()
        try:
            for limit in [each for each in self._running if each.until_s <= now_s]:
                self._running.discard(limit)
                limit.strike()
        finally:
            # Also where a wait does not let itself be ended: the others are to end in time.
            first_s = min((each.until_s for each in self._running), default=math.inf)
            if first_s < math.inf:
                self._look_at(first_s)


class _Limit:
    """One wait. The rules by which a task is cancelled, and that is taken back, are those of
    asyncio.Timeout."""

    __slots__ = ("_cancelling", "_deadlines", "_seconds", "_struck", "_task", "until_s")

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self._deadlines = deadlines
        self._seconds = seconds
        self._struck = False
        self.until_s = math.inf

    def __enter__(self) -> None:
        self._task = self._deadlines._begin(self, self._seconds)
        self._cancelling = self._task.cancelling()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._struck:
            self._deadlines._end(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            # Somebody else's cancelling, where there is one besides, goes before ours.
            raise TimeoutError from error

    def strike(self) -> None:
        """Its time is up."""
        self._struck = True
        self._task.cancel()
