"""Counting calls against their limits: one Lua round trip for all of them, all or nothing.

A count is a lease, never an increment: it names the call that holds it, it lapses by itself, and
live calls renew it. So what dies without a word frees itself, and what is up is counted again even
after every process was away.

Keys (in LIMITS_REDIS_URL); this module and its scripts in calls/lua/ alone write them. A subject
is ``global:``, ``account:<code>``, ``prefix:<digits>``, ``trunk:<name>`` for a Limit, and
``capacity:<name>`` for what a trunk itself holds.

``ringmaster:limit:concurrent:<subject>``
    zset of the calls that are up, by when their lease lapses, in ms since the epoch
``ringmaster:limit:cps:<subject>``
    list of when the last calls were let in, newest first, in µs since the epoch; as long as the
    limit is high. The limit is reached while its last entry is younger than a second, so no second
    ever has more calls than allowed, and none is refused that has room (a leaky bucket or GCRA
    can only do one of the two)
``ringmaster:limit:minutes:<window>:<subject>``
    ms of talk in ``day:2026-11-23`` or ``month:2026-11``; kept two windows long
``ringmaster:limit:call:<call id>``
    hash of what a call holds: ``attempt`` and ``reply`` (the same question is answered the same),
    ``places`` (its zsets); or ``over`` alone, once it has given them back
``ringmaster:limit:refused``, ``ringmaster:limit:would``
    hashes of totals by rule (`Rule.stat`): calls refused or trunks skipped, and what limits that
    are only observed would have refused
``ringmaster:trunk:states``
    hash of the trunks that are not up: ``down <since, ms> <failed> <attempts>``
``ringmaster:trunk:window:<name>``
    hash of attempts in the last minute: ``<part of the window>:ok`` and ``:bad``
``ringmaster:trunk:trial:<name>``
    there while a trunk that is down gets no trial call
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Container, Sequence
from pathlib import Path
from typing import Any

import orjson
import redis
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from calls import trunk_health
from calls.errors import LockLost
from calls.limit_book import LimitBook
from calls.limit_rules import Denial, Grant, Guarded, Metric, Rule, Skip, Window, guard
from calls.routing import Plan, Target
from calls.session import Session

LEASE_MS = 30_000
"""How long a place is held without being renewed; what a dead holder leaves is free after it."""
FLUSH_S = 1.0
"""Time between two times that outcomes of trunks are brought to Redis."""
BRIEF_MS = 60_000
"""How long a call that holds nothing is remembered, so that a repeated question counts once."""
COUNTED_MS = 3_600_000
"""How long the end of a call with minutes is remembered, so that they are counted once even when
every process was away for most of an hour in the middle of it."""
KEEP_SLACK_S = 600
"""What a call holds is known for its longest possible life and so much more."""
MOST_RENEWED = 200
"""Calls renewed in one round trip, about 1 ms of Redis's time."""
MOST_LATE = 10_000
"""Ends that wait for a limits Redis that is away; past it the oldest are dropped and logged."""
WINDOW_KEPT_MS = {Window.DAY: 2 * 86_400_000, Window.MONTH: 62 * 86_400_000}

REFUSED = "ringmaster:limit:refused"
WOULD = "ringmaster:limit:would"
STATES = "ringmaster:trunk:states"

LUA = Path(__file__).parent / "lua"

logger = logging.getLogger(__name__)


def counter_key(rule: Rule) -> str:
    """The key of the rule's counter."""
    window = f"{rule.window}:" if rule.window else ""
    return f"ringmaster:limit:{rule.metric}:{window}{rule.subject}"


def call_key(call: str) -> str:
    """The key of what a call holds."""
    return f"ringmaster:limit:call:{call}"


def trial_key(trunk: str) -> str:
    """The key that is there while a trunk that is down gets no trial call."""
    return f"ringmaster:trunk:trial:{trunk}"


def _window_key(trunk: str) -> str:
    return f"ringmaster:trunk:window:{trunk}"


class Limits:
    """The limits of one worker process, on its event loop.

    ``book`` says which there are; ``lease_ms`` is how long a place is held. Every method that asks
    Redis raises redis.RedisError when it fails, unless it says otherwise.
    """

    def __init__(self, redis: Redis, book: LimitBook, lease_ms: int = LEASE_MS) -> None:
        self._redis = redis
        self._book = book
        self._lease_ms = lease_ms
        self._reserve = _script(redis, "reserve")
        self._release = _script(redis, "release")
        self._renew = _script(redis, "renew")
        self._health = _script(redis, "health")
        self._late: deque[tuple[str, tuple[Rule, ...], int]] = deque(maxlen=MOST_LATE)
        self.outcomes = trunk_health.Outcomes()

    async def guard(self, plan: Plan, config_version: int, at_ms: int) -> Guarded:
        """What limits make of a plan; asks neither Redis nor, mostly, the database.

        Raises RoutingUnavailable when the limits have never been read and cannot be now.
        """
        book = self._book.known(config_version) or await self._book.read(config_version)
        return guard(plan, book, self.outcomes.down, at_ms)

    async def warm(self) -> None:
        """Open the book, so that the first call does not wait for it."""
        await self._book.refresh()

    async def reserve(self, session: Session, attempt: int) -> Grant | Denial:
        """Take the call's places for this attempt. Raises LockLost when the call is over."""
        rules = session.rules or ()
        open_targets = [target for target in session.targets if not target.skipped]
        ask = _Ask(session, attempt, rules, open_targets, self._book.up_by_hand, self._lease_ms)
        reply = orjson.loads(await self._reserve(keys=ask.keys, args=[ask.argument]))
        if "over" in reply:
            raise LockLost(f"Call {session.call_id}: another worker has ended it.")
        if "refused" in reply:
            return Denial(ask.of_call[reply["refused"] - 1])
        skipped = tuple(
            _skip(open_targets[target - 1].trunk, why, ask.of_target[target - 1][rule - 1 : rule])
            for target, why, rule in reply["skipped"] or ()
        )
        if reply["left"] < 0:
            return Grant(skipped)
        by = ask.of_call[reply["by"] - 1].name
        return Grant(skipped, max(1, -(-int(reply["left"]) // 1000)), by)

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

    async def renew(self, calls: Sequence[str]) -> int:
        """Hold on to the places of these calls, which are up; returns how many hold any."""
        held = 0
        for start in range(0, len(calls), MOST_RENEWED):
            some = calls[start : start + MOST_RENEWED]
            held += await self._renew(keys=list(map(call_key, some)), args=[self._lease_ms, *some])
        return held

    async def flush(self) -> None:
        """Bring the outcomes of trunks to Redis, and learn which trunks are not up."""
        trunks = self.outcomes.take()
        keys = [STATES]
        for trunk in trunks:
            keys += [_window_key(trunk["name"]), trial_key(trunk["name"])]
        try:
            states, changes = await self._health(keys=keys, args=[trunk_health.question(trunks)])
        except redis.RedisError:
            self.outcomes.put_back(trunks)
            raise
        self.outcomes.unwell = trunk_health.states_of(states)
        trunk_health.log_changes(changes)

    async def run(self, live: Callable[[], Awaitable[list[str]]]) -> None:
        """Flush, renew what is up, and tell what could not be told, for ever."""
        loop = asyncio.get_running_loop()
        renew_s = self._lease_ms / 3000
        # At once: leases may have lapsed while nobody was there.
        renew_at = loop.time()
        while True:
            await asyncio.sleep(min(FLUSH_S, renew_s) * random.uniform(0.8, 1.2))  # noqa: S311
            await self._book.refresh()
            try:
                await self.flush()
                await self._tell_late()
                if loop.time() >= renew_at:
                    await self.renew(await live())
                    renew_at = loop.time() + renew_s * random.uniform(0.8, 1)  # noqa: S311
            except redis.RedisError as error:
                logger.warning("Redis (LIMITS_REDIS_URL) does not answer: %s", error)
                await asyncio.sleep(FLUSH_S)
            except Exception:
                # A fault of ours must not let every lease lapse while its call is up.
                logger.exception("Limits could not be kept; it is tried again.")

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
        keys = [call_key(call), WOULD, *map(counter_key, rules)]
        at = {rule: index for index, rule in enumerate(rules, start=3)}
        minutes = [rule for rule in rules if rule.metric is Metric.MINUTES]
        ask = {
            "call": call,
            "talk": talk_ms,
            "places": [at[rule] for rule in rules if rule.metric is Metric.CONCURRENT],
            "minutes": [
                {
                    "k": at[rule],
                    "warn": rule.value * 60_000 * rule.warn_percent // 100,
                    "keep": WINDOW_KEPT_MS[Window(rule.window.partition(":")[0])],
                }
                for rule in minutes
            ],
            "longer": [
                rule.stat
                for rule in rules
                if rule.metric is Metric.MAX_DURATION and talk_ms > rule.value * 1000
            ],
            "keep": COUNTED_MS if minutes else BRIEF_MS,
        }
        reply = await self._release(keys=keys, args=[orjson.dumps(ask)])
        for rule, warned, used_ms in zip(minutes, *(reply or ([], [])), strict=bool(reply)):
            if warned:
                logger.warning(
                    "The limit %s has reached its warning: %.1f minutes of %s are used.",
                    rule.name,
                    used_ms / 60_000,
                    rule.window.partition(":")[2],
                )


class _Ask:
    """The keys and the argument of reserve.lua for one call."""

    def __init__(
        self,
        session: Session,
        attempt: int,
        rules: tuple[Rule, ...],
        targets: Sequence[Target],
        up_by_hand: Container[str],
        lease_ms: int,
    ) -> None:
        self.of_call = [rule for rule in rules if not rule.trunk]
        self.of_target = [
            [rule for rule in rules if rule.trunk == target.trunk] for target in targets
        ]
        tried = {leg.trunk for leg in session.legs if leg.channel_id}
        back = [rule for rule in rules if rule.trunk in tried and rule.metric is Metric.CONCURRENT]
        longest_s = session.max_call_s + sum(target.ring_timeout_s for target in targets)
        self.keys = [call_key(session.call_id), REFUSED, WOULD, STATES]
        self.argument = orjson.dumps(
            {
                "call": session.call_id,
                "attempt": attempt,
                "lease": lease_ms,
                "keep": (longest_s + KEEP_SLACK_S) * 1000,
                "brief": BRIEF_MS,
                "trial": trunk_health.TRIAL_MS,
                "rules": [self._rule(rule) for rule in self.of_call],
                "back": [self._key(counter_key(rule)) for rule in back],
                "targets": [
                    {
                        "name": target.trunk,
                        "mark": self._key(trial_key(target.trunk)),
                        "well": target.trunk in up_by_hand,
                        "rules": [self._rule(rule) for rule in rules],
                    }
                    for target, rules in zip(targets, self.of_target, strict=True)
                ],
            }
        )

    def _rule(self, rule: Rule) -> dict[str, Any]:
        return {
            "k": self._key(counter_key(rule)),
            "m": rule.metric,
            "v": rule.value,
            "e": rule.enforce,
            "s": rule.stat,
        }

    def _key(self, key: str) -> int:
        self.keys.append(key)
        return len(self.keys)


def _skip(trunk: str, why: str, rules: Sequence[Rule]) -> Skip:
    limit = f" ({rules[0].name})" if rules else ""
    words = {
        "down": f"trunk {trunk} is down",
        "full": f"trunk {trunk} is full{limit}",
        "cps": f"trunk {trunk} has had its calls of this second{limit}",
    }
    return Skip(trunk, why, words[why])


def _script(redis: Redis, name: str) -> AsyncScript:
    return redis.register_script((LUA / f"{name}.lua").read_text())
