"""How nudges come in where the broker is the calls' own Redis: straight onto the engine's loop.

Celery's consumer takes one message after the other in a thread of its own: a BRPOP each, its reply
read by a pure-Python parser, a message object, and the hand over to the loop by a wake-up of the
other thread, for which both fight over the interpreter. That was two fifths of the worker's CPU.
Here the loop asks for itself, for as many messages as wait, on one connection.

Celery's worker stays the door: it is started, told to end and drained as ever, and its queue and
messages are its own, so whoever sends `calls.attend` by Celery's means is heard. With another
broker, or a Redis before 7.0 (BLMPOP), its consumer takes the messages (calls/engine/strategy.py).
"""

import asyncio
import logging
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import redis
from redis.asyncio import Redis

from calls import ids
from calls.engine.nudges import ATTEND
from calls.engine.tap import Tap

MOST_MESSAGES = 16
"""Taken at once, where there is room for them."""
WAIT_S = 1
"""How long Redis waits for a message before it answers that there is none: so often the intake
looks whether it is to end. Below the client's time-out."""
SHUT_S = 0.25
"""Between two looks whether a worker that is drained, or has just started, takes nudges."""
AGAIN_S = 0.5
"""After an error of Redis."""
SAY_AGAIN_S = 1.0
"""At least so long between two lines about messages that are none of ours: whoever can send one
can send a million."""

logger = logging.getLogger(__name__)
_said_s = float("-inf")


class Intake:
    """Takes nudges from the queue and gives their calls to the engine. Lives on the loop."""

    def __init__(
        self,
        redis: Redis,
        queue: str,
        tap: Tap,
        take: Callable[[list[str]], Awaitable[None]],
        room: Callable[[], int] = lambda: MOST_MESSAGES,
    ) -> None:
        """``redis`` is for the intake alone, as it waits there; ``take`` returns when there is
        room for more. ``room``: for how many calls there is now; of what waits no more is taken,
        but for one message, so that other workers have the rest."""
        self._redis = redis
        self._queue = queue
        self._tap = tap
        self._take = take
        self._room = room
        self._ending = False

    def end(self) -> None:
        """Let `run` return within `WAIT_S`, having put back what it should not take any more."""
        self._ending = True

    async def run(self) -> None:
        """Take nudges until it is to end. Returns as well where this Redis cannot wait for many
        at once: then Celery's consumer takes them."""
        self._tap.lead(straight=True)
        logger.info("Nudges are taken from the queue straight onto the event loop.")
        while not self._ending:
            if not self._tap.is_open:
                await asyncio.sleep(SHUT_S)
                continue
            try:
                await self._hand_on(await self._wait())
            except redis.ResponseError as error:
                if _is_unknown(error):
                    logger.warning("Redis cannot wait for nudges by BLMPOP (%s).", error)
                    self._tap.lead(straight=False)
                    return
                await self._rest(error)
            except redis.RedisError as error:
                await self._rest(error)

    async def close(self) -> None:
        """Give the connection up."""
        await self._redis.aclose()

    async def _wait(self) -> list[bytes]:
        """The messages that have waited longest, the oldest first; none after `WAIT_S`."""
        ask: Any = self._redis.execute_command
        most = max(1, min(MOST_MESSAGES, self._room()))
        found = await ask("BLMPOP", WAIT_S, 1, self._queue, "RIGHT", "COUNT", most)
        return found[1] if found else []

    async def _hand_on(self, messages: list[bytes]) -> None:
        """Give the calls to the engine. There may be no room for a while: what is not begun by the
        time that the worker is to end or is drained goes back."""
        for place, message in enumerate(messages):
            if self._ending or not self._tap.is_open:
                await self._put_back(messages[place:])
                return
            await self._take(calls_in(message))

    async def _put_back(self, messages: list[bytes]) -> None:
        waiting: Any = self._redis.rpush(self._queue, *reversed(messages))
        await waiting

    async def _rest(self, error: Exception) -> None:
        logger.error(
            "The broker (CELERY_BROKER_URL) gives no nudges: %s. Calls go on, up to a second "
            "later at each step.",
            error,
        )
        await asyncio.sleep(AGAIN_S)


def calls_in(message: bytes) -> list[str]:
    """The calls that a message of Celery's names, as kombu put it into the queue.

    What is none of ours names none, and is logged.
    """
    try:
        raw = orjson.loads(message)
        body = raw["body"]
        if raw["properties"].get("body_encoding") == "base64":
            body = b64decode(body)
        (calls,), *_ = orjson.loads(body)
        if raw["headers"]["task"] == ATTEND:
            return known_calls(calls)
    except (ValueError, TypeError, LookupError, AttributeError):
        pass
    _say(message)
    return []


def known_calls(calls: object) -> list[str]:
    """Those of what a message names that are ids of calls; that there are others is logged.

    What is none is left out here: a slot taken for it would never be given back.
    """
    known = [call for call in calls if ids.is_call_id(call)] if isinstance(calls, list) else []
    if not isinstance(calls, list) or len(known) < len(calls):
        _say(calls)
    return known


def _is_unknown(error: redis.ResponseError) -> bool:
    return isinstance(error, redis.exceptions.NoPermissionError) or "unknown command" in str(error)


def _say(calls: object) -> None:
    global _said_s
    now_s = time.monotonic()
    if now_s < _said_s + SAY_AGAIN_S:
        return
    _said_s = now_s
    logger.error(
        "A message on the queue names what is no call: %.200r. It is left out. Nobody but "
        "Ringmaster should be able to write to the broker (CELERY_BROKER_URL).",
        calls,
    )
