"""Counting calls against their limits: one Lua round trip for all of them, all or nothing.

A count is a lease, never an increment: it names the call that holds it, it lapses by itself, and
live calls renew it. So what dies without a word frees itself, and what is up is counted again even
after every process was away.

Minutes are spent in slices, in advance (calls/limits/slices.py): a counter of minutes holds what
was talked by calls that are over and what calls that are up may still talk.

Keys (in LIMITS_REDIS_URL); this module, calls/store/keeper.py and their scripts in calls/store/lua/
alone write them. A subject is ``global:``, ``account:<code>``, ``prefix:<digits>``,
``trunk:<name>`` for a Limit, and ``capacity:<name>`` for what a trunk itself holds.

``ringmaster:limit:concurrent:<subject>``
    zset of the calls that are up, by when their lease lapses, in ms since the epoch
``ringmaster:limit:cps:<subject>``
    list of when the last calls were let in, newest first, in µs since the epoch; as long as the
    limit is high. The limit is reached while its last entry is younger than a second, so no second
    ever has more calls than allowed, and none is refused that has room (a leaky bucket or GCRA
    can only do one of the two)
``ringmaster:limit:minutes:<window>:<subject>``
    ms of talk in ``day:2026-11-23`` or ``month:2026-11``, spent in advance by calls that are up;
    kept two windows long
``ringmaster:limit:warned:<window>:<subject>``
    there once it has been said that the minutes have reached their warning
``ringmaster:limit:call:<call id>``
    hash of what a call holds: ``attempt`` and ``reply`` (the same question is answered the same),
    ``places`` and ``trunk_places`` (its own and its trunk's zsets), ``granted`` (ms of talk spent
    in advance), ``slices`` (the counters they came from), ``by`` (the limit with the least left);
    or ``over`` alone, once it has given them back
``ringmaster:limit:kept:<cell>``
    there for one lease after all live calls of a cell have been renewed; without it nobody is let
    in whom a limit that is enforced might have to refuse
``ringmaster:limit:keeper:<cell>``
    name of the worker that renews them
``ringmaster:limit:refused``, ``ringmaster:limit:would``
    hashes of totals by rule (`Rule.stat`): calls refused or trunks skipped, and what limits that
    are only observed would have refused
``ringmaster:trunk:states``
    hash of the trunks that are not up: ``down <since, ms> <failed> <attempts>``
``ringmaster:trunk:window:<name>``
    hash of attempts in the last minute: ``<part of the window>:ok`` and ``:bad``
``ringmaster:trunk:trial:<name>``
    when a trunk that is down got its last trial call, in ms since the epoch; while it gets no other
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Iterable
from typing import Any

import orjson
import redis
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from calls import metrics
from calls.errors import LockLost
from calls.limits import health
from calls.limits.draining import refused_by_drain
from calls.limits.refusals import skip_of
from calls.limits.rules import Denial, Grant, Guarded, Rule, guard
from calls.machine.session import Session
from calls.routing.choice import Plan, Refusal
from calls.routing.targets import Skipped
from calls.store import outbox
from calls.store.keeper import Keeper, LiveCalls
from calls.store.lean import patient
from calls.store.limit_book import LimitBook
from calls.store.questions import (
    BRIEF_MS,
    COUNTED_MS,
    REFUSED,
    STATES,
    WOULD,
    Question,
    call_key,
    counter_key,
    extending,
    releasing,
    reserving,
    script,
    trial_key,
    window_key,
)

__all__ = [
    "BRIEF_MS",
    "COUNTED_MS",
    "LEASE_MS",
    "REFUSED",
    "STATES",
    "WOULD",
    "Limits",
    "call_key",
    "counter_key",
    "trial_key",
]

LEASE_MS = 30_000
"""How long a place is held without being renewed; what a dead holder leaves is free after it."""
FLUSH_S = 1.0
"""Time between two times that proofs of trunks are brought to Redis."""
FLUSH_PATIENCE_S = 0.2
"""How long they may wait for something to go along with."""
WARM_S = 3.0
"""How long a worker that starts waits for the places of calls that are up."""
MOST_LATE = 10_000
"""Ends that wait for a limits Redis that is away; past it the oldest are dropped and logged."""

logger = logging.getLogger(__name__)


class Limits:
    """The limits of one worker process, on its event loop.

    ``book`` says which there are, ``calls`` which calls are up (None: places are not kept, as in a
    test); ``lease_ms`` is how long a place is held. Every method that asks Redis raises
    redis.RedisError when it fails, unless it says otherwise.
    """

    def __init__(
        self,
        redis: Redis,
        book: LimitBook,
        calls: LiveCalls | None = None,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._redis = redis
        self._book = book
        self._lease_ms = lease_ms
        self._reserve = script(redis, "slices", "reserve")
        self._extend = script(redis, "slices", "extend")
        self._release = script(redis, "slices", "release")
        self._health = patient(script(redis, "health"), FLUSH_PATIENCE_S)
        self._late: deque[tuple[str, tuple[Rule, ...], int]] = deque(maxlen=MOST_LATE)
        self.proofs = health.Proofs()
        self.keeper = Keeper(redis, calls, lease_ms) if calls is not None else None

    def prepare(self, config_version: int) -> None:
        """Begin to read the limits if they are not known, while the route is looked up."""
        self._book.prepare(config_version)

    async def guard(
        self, plan: Plan, config_version: int, at_ms: int, node: str = ""
    ) -> Guarded | Refusal:
        """What limits make of a plan; asks neither Redis nor, mostly, the database.

        It is refused where ``node``, or the whole switch, is drained.
        Raises RoutingUnavailable when the limits have never been read and cannot be now.
        """
        book = self._book.known(config_version) or await self._book.read(config_version)
        refusal = refused_by_drain(plan, book.drained, node)
        return refusal or guard(plan, book, self.proofs.down, at_ms)

    async def warm(self) -> None:
        """Open the book and count who is up, so that the first call waits for neither."""
        await self._refresh_book()
        if self.keeper is None:
            return
        try:
            async with asyncio.timeout(WARM_S):
                await self.keeper.turn()
        except (redis.RedisError, TimeoutError) as error:
            logger.warning(
                "Redis (LIMITS_REDIS_URL) does not answer: %s", error or f"within {WARM_S:g} s"
            )

    async def reserve(self, session: Session, attempt: int) -> Grant | Denial:
        """Take the call's places for this attempt. Raises LockLost when the call is over.

        Where it is not known who holds places it waits until it is; whoever asks sets the time.
        """
        kept = await self.keeper.kept_key() if self.keeper is not None else ""
        targets = [target for target in session.targets if not target.skipped]
        question = reserving(session, attempt, targets, self._book.up_by_hand, kept, self._lease_ms)
        while True:
            reply = orjson.loads(await self._ask(self._reserve, question))
            if "unkept" not in reply or self.keeper is None:
                break
            await self.keeper.mend()
        if "over" in reply:
            raise LockLost(f"Call {session.call_id}: another worker has ended it.")
        if "refused" in reply:
            return Denial(reply["refused"])
        self._say(reply, session.rules or ())
        skipped = tuple(
            skip_of(trunk, Skipped(why), limit) for trunk, why, limit in reply["skipped"] or ()
        )
        if "talk" not in reply:
            return Grant(reply["trunk"], skipped)
        return Grant(reply["trunk"], skipped, _seconds(reply["talk"]), reply.get("by", ""))

    async def extend(self, session: Session, have_s: int) -> tuple[int, str]:
        """Spend the next slice of the call's minutes; it has ``have_s`` seconds.

        Gives the seconds it may talk in all, as many as it had when nothing is left, and the limit
        with the least left. Raises LockLost when the call is over.
        """
        reply = orjson.loads(await self._ask(self._extend, extending(session, have_s)))
        if "over" in reply:
            raise LockLost(f"Call {session.call_id}: another worker has ended it.")
        self._say(reply, session.rules or ())
        return _seconds(reply["talk"]), reply.get("by", session.granted_by)

    async def release(self, call: str, rules: tuple[Rule, ...], talk_ms: int) -> None:
        """Give the call's places back and count its talk; never fails.

        A limits Redis that is away is told as soon as it is back, if this process still lives.
        """
        try:
            await self._give_back(call, rules, talk_ms)
        except redis.RedisError as error:
            self.release_later(call, rules, talk_ms, str(error))

    def release_later(self, call: str, rules: tuple[Rule, ...], talk_ms: int, why: str) -> None:
        """Keep the end of a call until the limits Redis is back."""
        if len(self._late) == MOST_LATE:
            logger.error(
                "The limits Redis (LIMITS_REDIS_URL) is away for too long: the talk of call %s is "
                "not counted in its minutes.",
                self._late[0][0],
            )
        self._late.append((call, rules, talk_ms))
        logger.warning(
            "The limits Redis (LIMITS_REDIS_URL) does not take the end of call %s, it is told "
            "later: %s",
            call,
            why,
        )

    async def flush(self) -> None:
        """Bring the proofs of trunks to Redis, and learn which trunks are not up."""
        trunks = self.proofs.take()
        keys = [STATES]
        for trunk in trunks:
            keys += [window_key(trunk["name"]), trial_key(trunk["name"])]
        tells = not outbox.wanted.events.isdisjoint(("trunk.down", "trunk.up"))
        keys += [outbox.OUTBOX] * tells
        question = health.question(trunks, outbox.MOST if tells else 0)
        try:
            states, changes = await self._health(keys=keys, args=[question])
        except redis.RedisError:
            self.proofs.put_back(trunks)
            raise
        self.proofs.unwell = health.states_of(states)
        health.log_changes(changes)
        for trunk, state in zip(changes[::5], changes[2::5], strict=True):
            metrics.trunk_changed(trunk.decode(), state.decode())

    async def run(self) -> None:
        """Flush, renew what is up, and tell what could not be told, for ever."""
        while True:
            await asyncio.sleep(min(FLUSH_S, self._lease_ms / 3000) * random.uniform(0.8, 1.2))  # noqa: S311
            await self._refresh_book()
            try:
                await self.flush()
                await self._tell_late()
                if self.keeper is not None:
                    await self.keeper.turn()
            except redis.RedisError as error:
                logger.warning("Redis (LIMITS_REDIS_URL) does not answer: %s", error)
                await asyncio.sleep(FLUSH_S)
            except Exception:
                # A fault of ours must not let every lease lapse while its call is up.
                logger.exception("Limits could not be kept; it is tried again.")

    async def _refresh_book(self) -> None:
        try:
            await self._book.refresh()
        except Exception:
            # What is remembered holds; leases are renewed whatever stands in the database.
            logger.exception("The limits could not be read; it is tried again.")

    async def close(self) -> None:
        """Bring what is left and give up connections."""
        try:
            await self.flush()
            await self._tell_late()
        except redis.RedisError as error:
            logger.warning(
                "Redis (LIMITS_REDIS_URL) does not answer, the ends of %d calls are not counted: "
                "%s",
                len(self._late),
                error,
            )
        await self._book.close()
        await self._redis.aclose()

    async def _tell_late(self) -> None:
        while self._late:
            await self._give_back(*self._late[0])
            self._late.popleft()

    async def _give_back(self, call: str, rules: tuple[Rule, ...], talk_ms: int) -> None:
        warned = await self._ask(self._release, releasing(call, rules, talk_ms))
        self._say({"warned": orjson.loads(warned)}, rules)

    async def _ask(self, script: AsyncScript, question: Question) -> Any:
        return await script(keys=question.keys, args=[question.argument])

    def _say(self, reply: dict[str, Any], rules: Iterable[Rule]) -> None:
        """Log the minutes that have reached their warning."""
        windows = {rule.name: rule.window.partition(":")[2] for rule in rules}
        for name, used_ms in reply.get("warned") or ():
            logger.warning(
                "The limit %s has reached its warning: %.1f minutes of %s are used.",
                name,
                used_ms / 60_000,
                windows[name],
            )


def _seconds(ms: int) -> int:
    return -(-ms // 1000)
