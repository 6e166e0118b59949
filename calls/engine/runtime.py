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
from contextlib import suppress
from typing import Any

import redis
import uvloop
from django.conf import settings
from django.utils.module_loading import import_string

from calls import metrics
from calls.engine.asterisk import Gateway
from calls.engine.intake import WAIT_S, Intake
from calls.engine.nudges import shared_queue_name
from calls.engine.phones import Phones
from calls.engine.shares import Shares
from calls.engine.tap import tap
from calls.engine.turn import Engine
from calls.policy import policy
from calls.store import outbox
from calls.store.busiest import expect_busiest
from calls.store.counters import Limits
from calls.store.directory import Directory
from calls.store.drains import drain_key
from calls.store.heartbeats import Heart
from calls.store.limit_book import LimitBook
from calls.store.mailbox import Mailboxes, connect
from calls.store.mark import KEY as MARK
from calls.store.mark import Mark
from calls.store.refusals import Refusals
from calls.vital import vital_task, vital_thread

IN_FLIGHT = 256
"""Turns at a time in one process. Past it tasks wait, so that the rest stays in the broker."""
SWEEP_S = 0.25
"""Mean time between two looks for calls that are due; spread by half, as every process sweeps."""
QUIET_S = (0.5, 0.9)
"""Shortest and longest time between two looks while no call lives. A call that begins is looked at
by its nudge; one whose nudge is lost is due a second after its event."""
LOOK_AHEAD_MS = 400
"""How far a sweep looks ahead, a little more than the longest time to the next one."""
AGAIN_S = 0.1
"""Between two looks while Redis does not answer. What it lost is to be given back before others act
on what is left, and before records that were found have waited (cdr/found_ends.py)."""
GIVE_AGAIN_S = 1.0
"""Until what it lost is given back once more where it took only a part: thousands of records."""
COMPARED_S = 1.0
"""For so long after Redis has lost data the sweeper leaves calls to the comparison: what Redis
remembers of one may be older than its talk, and a turn would go on from there."""
AT_A_SWEEP = 500
"""Calls that one look may find due."""
LEFT_TO_OTHERS_MS = 30_000
"""How long a call may be due before a worker that does not know its node looks at it."""
PUT_OFF_MS = 1_000
"""How long a call waits whose node has no place left."""
STOP_S = 5.0
"""How long a stopping process waits for the turns it has begun."""

logger = logging.getLogger(__name__)


class Runtime:
    """The event loop of one worker process, with everything that lives on it."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = vital_thread("The event loop of the calls", self._run, "calls")
        self._room = threading.BoundedSemaphore(IN_FLIGHT)
        self._left = asyncio.Event()
        """Set when a turn ends, for who waits for room on the loop."""
        self._begun = asyncio.Event()
        """Set when a turn begins, for the sweeper."""
        self._shares = Shares(IN_FLIGHT, len(settings.ARI_NODES))
        self._busy: set[str] = set()
        self._without_place: list[str] = []
        """Calls that were due and had to wait, as their node has no place left."""
        self._found: dict[str, None] = {}
        """Calls that were due while every place was taken, the one found first first."""
        self._found_is_next = False
        """Whether the next place that is given back is for one of these."""
        self._foreign: set[str] = set()
        """Nodes that this worker does not know, of which it has said so."""
        self._once_more: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._compared_s = 0.0
        """Until when calls are left to the comparison, by the loop's clock."""
        self._phones: asyncio.Task[None] | None = None
        """Looks at phones that were called when Redis lost its data."""
        self._stopping = False
        self._intake: Intake | None = None
        self._intaking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve; returns when the engine is there. Raises what made that impossible."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(timeout=10)

    def submit(self, calls: Iterable[str]) -> None:
        """Attend to these calls soon; waits while the process has as many turns as it may.

        A call whose node has no place left is left to the sweeper: others must not wait for it.
        """
        for call in filter(self._knows, calls):
            if self._shares.enter(_node_of(call)):
                self._room.acquire()
                self._loop.call_soon_threadsafe(self._begin, call)

    async def _take(self, calls: list[str]) -> None:
        """As `submit`, on the loop."""
        for call in filter(self._knows, calls):
            if self._shares.enter(_node_of(call)):
                while not self._room.acquire(blocking=False):
                    self._left.clear()
                    await self._left.wait()
                self._begin(call)

    def _free(self) -> int:
        """How many more turns the process may have now, about."""
        return IN_FLIGHT - len(self._busy)

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
        self._mark = Mark(self._redis)
        make_gateway: Callable[[], Gateway] = import_string(settings.CALLS_GATEWAY)
        self._gateway = make_gateway()
        self._directory = Directory(
            settings.MAX_CALL_S,
            policy=policy(),
            refusals=Refusals(self._redis, settings.REFUSALS_PER_S),
        )
        is_one = settings.LIMITS_REDIS_URL == settings.REDIS_URL
        # What goes to one server goes out together.
        counting = self._redis if is_one else connect(settings.LIMITS_REDIS_URL)
        self._limits = Limits(counting, LimitBook(), self._mailboxes)
        self._engine = Engine(
            self._mailboxes,
            self._gateway,
            self._directory,
            self._limits,
            self._gateway.now_ms,
            keeps_journal=bool(settings.TRACE_DAYS or settings.TRACE_FAILED_DAYS),
            note_node=self._shares.note,
        )
        await asyncio.gather(
            self._directory.warm(),
            self._limits.warm(),
            self._gateway.know_time(),
            expect_busiest(),
            self._learn_what_is_wanted(),
        )
        # What has been imported stays for good; without this every full collection, about one
        # every few seconds under load, walks over all of Django again.
        gc.collect()
        gc.freeze()
        metrics.begin(settings.ARI_NODES)
        self._heart = Heart("calls", self._describes_itself)
        self._heart.start()
        self._sweeper = vital_task("The sweeper", self._sweep())
        self._keeper = vital_task("The keeper of the limits", self._limits.run())
        self._timer = vital_task("The measuring of clocks", self._gateway.keep_time())
        queue = shared_queue_name()
        if queue is not None:
            client = connect(settings.REDIS_URL)
            self._intake = Intake(client, queue, tap, self._take, self._free)
            self._intaking = vital_task("The intake of nudges", self._intake.run())

    async def _close(self) -> None:
        if self._intake is not None and self._intaking is not None:
            self._intake.end()
            await asyncio.wait([self._intaking], timeout=WAIT_S + 0.5)
            self._intaking.cancel()
            await self._intake.close()
        self._stopping = True
        self._heart.stop()
        keepers = [self._sweeper, self._keeper, self._timer]
        if self._phones is not None:
            self._phones.cancel()
            keepers.append(self._phones)
        self._sweeper.cancel()
        self._timer.cancel()
        turns = list(self._tasks)
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

    def _describes_itself(self) -> str:
        turns = len(self._busy)
        return f"{'drained, ' * tap.is_shut}{turns} turn{'s' * (turns != 1)}"

    def _drain(self, *, drained: bool) -> None:
        """Take no new turns while somebody drains this worker: others attend to its calls."""
        if tap.turn(shut=drained):
            shut = "takes no new turns" if tap.is_shut else "takes turns again"
            logger.warning("This worker (%s) %s.", self._heart.name, shut)

    def _knows(self, call: str, in_ms: int = 0) -> bool:
        """Whether this worker attends to the call, which is due then.

        One of a node that it does not know is left to workers that know it; where nobody does, it
        is looked at now and then, to end when Asterisk's own limits have struck.
        """
        node = _node_of(call)
        if self._gateway.knows(node) or in_ms < -LEFT_TO_OTHERS_MS:
            return True
        if node not in self._foreign:
            self._foreign.add(node)
            logger.warning(
                "Node %s is not in ARI_NODES of this worker: its calls are left to workers that "
                "know it.",
                node,
            )
        return False

    def _begin(self, call: str, found: bool = False) -> None:
        if call in self._busy:
            # The turn under way may have let the call go in Redis and not know it yet.
            self._once_more.add(call)
        if call in self._busy or self._stopping:
            self._leave(call)
            return
        self._busy.add(call)
        self._begun.set()
        self._spawn(self._attend(call, found))

    async def _attend(self, call: str, found: bool) -> None:
        try:
            await self._engine.attend(call, found)
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
            self._leave(call)

    def _leave(self, call: str) -> None:
        self._shares.leave(_node_of(call))
        # By turns: where nudges always wait for a place, what was found would never have one.
        self._found_is_next = not self._found_is_next
        if self._found and self._found_is_next:
            self._loop.call_soon(self._begin_found)
        else:
            self._give_back_place()

    def _give_back_place(self) -> None:
        self._room.release()
        self._left.set()

    def _begin_found(self) -> None:
        """Give the place in hand to a call that was found while there was none."""
        while self._found:
            call = next(iter(self._found))
            del self._found[call]
            if self._shares.enter(_node_of(call)):
                self._begin(call, found=True)
                return
            self._without_place.append(call)
        self._give_back_place()

    async def _sweep(self) -> None:
        """Attend to every call that is due: a nudge was lost, a worker died, or time is up."""
        # Being cancelled is not enough to end it: see _end in ari_bridge/listener.py.
        foreign = live = 0
        pause_s = 0.0
        read = (MARK, outbox.WANTED, drain_key(self._heart.name))
        while not self._stopping:
            self._heart.sign()
            await (asyncio.sleep(pause_s) if pause_s else self._until_next_sweep(live))
            was_away, pause_s = bool(pause_s), AGAIN_S
            try:
                due = await self._mailboxes.due(LOOK_AHEAD_MS, AT_A_SWEEP + foreign, read)
                mark, wanted, drain = due.read
                # What was wanted is told on where Redis says nothing of it.
                outbox.wanted.hear(wanted)
                self._drain(drained=drain is not None)
                if await self._mark.shows_change(mark):
                    self._compared_s = self._loop.time() + COMPARED_S
                    pause_s = GIVE_AGAIN_S
                    await self._after_loss()
            except redis.RedisError as error:
                if not was_away:
                    logger.warning("Redis does not answer the sweeper, which asks on: %s", error)
                continue
            pause_s = 0.0
            if tap.is_shut or self._loop.time() < self._compared_s:
                continue
            while self._found and self._room.acquire(blocking=False):
                self._begin_found()
            live = due.live
            ours = [each for each in due.calls if self._knows(*each)]
            # Calls left to others must not hide those behind them.
            foreign = len(due.calls) - len(ours)
            for call, in_ms in ours:
                # A hard limit is billed: it should not wait for the next sweep.
                self._loop.call_later(max(0, in_ms) / 1000, self._begin_if_room, call)
            await self._put_off()

    async def _after_loss(self) -> None:
        """Give Redis back what it lost, and look soon what became of phones that were called."""
        keepsake = self._engine.keepsake
        await keepsake.after_loss(self._mark, self._mailboxes)
        if self._phones is not None:
            self._phones.cancel()
        phones = Phones(keepsake, self._mailboxes, self._gateway)
        self._phones = self._loop.create_task(phones.look())

    async def _until_next_sweep(self, live: int) -> None:
        """Wait a little; longer where no call lived at the last sweep, but not once one begins."""
        if live or self._tasks:
            await asyncio.sleep(SWEEP_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            return
        self._begun.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(*QUIET_S)):  # noqa: S311 - no secret
                await self._begun.wait()

    async def _learn_what_is_wanted(self) -> None:
        # The sweeper says that Redis is away, and asks again.
        with suppress(redis.RedisError):
            await outbox.wanted.look(self._redis)

    def _begin_if_room(self, call: str) -> None:
        if not self._shares.enter(_node_of(call)):
            self._without_place.append(call)
        elif self._room.acquire(blocking=False):
            self._begin(call, found=True)
        else:
            self._shares.leave(_node_of(call))
            if len(self._found) < IN_FLIGHT:
                self._found[call] = None

    async def _put_off(self) -> None:
        """Calls that have no place now must not hide those that are due after them."""
        calls, self._without_place = self._without_place, []
        if calls:
            with suppress(redis.RedisError):
                await self._mailboxes.postpone(calls, PUT_OFF_MS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        # The loop itself holds its tasks only weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _node_of(call: str) -> str:
    return call.partition(":")[0]


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
            "This process does not attend to calls: calls.engine.runtime.start() was not run."
        )
    return _runtime
