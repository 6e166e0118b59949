"""What a worker process keeps between tasks: one event loop in a thread, and the engine on it.

A task only says which calls to attend to and returns; the turns run side by side on the loop, and
so does the sweeper. Loop, sessions and pools are made after the fork, never before it.
"""

import asyncio
import gc
import logging
import random
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import redis
import uvloop
from django.conf import settings
from django.utils.module_loading import import_string

from calls.directory import Directory
from calls.engine import Engine, wall_clock_ms
from calls.gateway import Gateway
from calls.limit_book import LimitBook
from calls.limits import Limits
from calls.mailbox import Mailboxes, connect

IN_FLIGHT = 256
"""Turns at a time in one process. Past it tasks wait, so that the rest stays in the broker."""
SWEEP_S = 0.25
"""Mean time between two looks for calls that are due; spread by half, as every process sweeps."""
LOOK_AHEAD_MS = 400
"""How far a sweep looks ahead, a little more than the longest time to the next one."""
STOP_S = 5.0
"""How long a stopping process waits for the turns it has begun."""

logger = logging.getLogger(__name__)


class Runtime:
    """The event loop of one worker process, with everything that lives on it."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="calls", daemon=True)
        self._room = threading.BoundedSemaphore(IN_FLIGHT)
        self._busy: set[str] = set()
        self._once_more: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def start(self) -> None:
        """Begin to serve; returns when the engine is there. Raises what made that impossible."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(timeout=10)

    def submit(self, calls: Iterable[str]) -> None:
        """Attend to these calls soon; waits while the process has as many turns as it may."""
        for call in calls:
            self._room.acquire()
            self._loop.call_soon_threadsafe(self._begin, call)

    def stop(self) -> None:
        """Finish the turns that have begun, for `STOP_S` seconds at most, and close."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=STOP_S + 2)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _open(self) -> None:
        self._redis = connect(settings.REDIS_URL)
        self._mailboxes = Mailboxes(self._redis)
        make_gateway: Callable[[], Gateway] = import_string(settings.CALLS_GATEWAY)
        self._gateway = make_gateway()
        self._directory = Directory(settings.MAX_CALL_S)
        self._limits = Limits(connect(settings.LIMITS_REDIS_URL), LimitBook())
        self._engine = Engine(self._mailboxes, self._gateway, self._directory, limits=self._limits)
        await asyncio.gather(self._directory.warm(), self._limits.warm())
        # What has been imported stays for good; without this every full collection, about one
        # every few seconds under load, walks over all of Django again.
        gc.collect()
        gc.freeze()
        self._sweeper = self._spawn(self._sweep())
        self._keeper = self._spawn(self._limits.run(self._mailboxes.live))

    async def _close(self) -> None:
        self._stopping = True
        keepers = (self._sweeper, self._keeper)
        self._sweeper.cancel()
        turns = [task for task in self._tasks if task not in keepers]
        _, unfinished = await asyncio.wait(turns, timeout=STOP_S) if turns else (set(), set())
        if unfinished:
            logger.warning(
                "Stopping with %d calls in the middle of a step; another worker goes on with them.",
                len(unfinished),
            )
        self._keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await self._limits.close()
        await self._gateway.close()
        self._directory.close()
        await self._redis.aclose()

    def _begin(self, call: str) -> None:
        if call in self._busy:
            # The turn under way may have let the call go in Redis and not know it yet.
            self._once_more.add(call)
        if call in self._busy or self._stopping:
            self._room.release()
            return
        self._busy.add(call)
        self._spawn(self._attend(call))

    async def _attend(self, call: str) -> None:
        try:
            await self._engine.attend(call)
            while call in self._once_more:
                self._once_more.discard(call)
                await self._engine.attend(call)
        except redis.RedisError as error:
            logger.warning("Call %s waits for Redis: %s", call, error)
        except Exception:
            # A fault of ours must not end the loop that all other calls live on; the sweeper
            # brings this call back when its lock has lapsed.
            logger.exception("Call %s could not be attended to; it is tried again.", call)
        finally:
            self._busy.discard(call)
            self._once_more.discard(call)
            self._room.release()

    async def _sweep(self) -> None:
        """Attend to every call that is due: a nudge was lost, a worker died, or time is up."""
        # Being cancelled is not enough to end it: see _end in ari_bridge/listener.py.
        while not self._stopping:
            await asyncio.sleep(SWEEP_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            try:
                due = await self._mailboxes.due(wall_clock_ms() + LOOK_AHEAD_MS)
            except redis.RedisError as error:
                logger.warning("Redis does not answer the sweeper: %s", error)
                await asyncio.sleep(1)
                continue
            for call, at_ms in due:
                # A hard limit is billed: it should not wait for the next sweep.
                self._loop.call_later((at_ms - wall_clock_ms()) / 1000, self._begin_if_room, call)

    def _begin_if_room(self, call: str) -> None:
        if self._room.acquire(blocking=False):
            self._begin(call)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        # The loop itself holds its tasks only weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


_runtime: Runtime | None = None


def start() -> None:
    """Make this process a worker for calls."""
    global _runtime
    _runtime = Runtime()
    _runtime.start()


def stop() -> None:
    """End what `start` began."""
    global _runtime
    if _runtime is not None:
        _runtime.stop()
        _runtime = None


def current() -> Runtime:
    """This process's runtime. Raises RuntimeError in a process that is no worker for calls."""
    if _runtime is None:
        raise RuntimeError(
            "This process does not attend to calls: calls.runtime.start() was not run."
        )
    return _runtime
