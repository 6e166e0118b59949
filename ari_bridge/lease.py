"""Who listens to a node: one holder of a lease, and any number standing by.

The holder writes its name and a number that grows with every renewal. Who stands by watches that
value and takes the lease once it has not moved for `LAPSE_S` by the watcher's own monotonic clock;
no two clocks are ever compared, and Redis' clock may go where it likes.

The lease decides who connects, nothing more. Asterisk itself sees to it that one listener hears an
application, the newest, so two holders at a time are a takeover without a gap and no fault: with
Redis away the one that has the socket keeps it.

Keys (in REDIS_URL); this module alone writes them:

``ringmaster:listener:<node>``
    ``<name> <number>``: who listens to the node; ``free <name>`` while a holder that is about to
    end offers it. Gone an hour after the last renewal, so that a node that was taken off leaves
    nothing
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

RENEW_S = 0.2
"""Between two renewals."""
LOOK_S = 0.1
"""Between two looks of one that stands by."""
LAPSE_S = 0.8
"""A lease that has not moved for so long has no holder any more: four renewals were missed."""
KEPT_MS = 3_600_000

_SCRIPT = Path(__file__).with_suffix(".lua").read_text()


def lease_key(node: str) -> str:
    """The key of a node's lease."""
    return f"ringmaster:listener:{node}"


class Lease:
    """One listener's view of the lease of one node.

    Every method that asks Redis raises redis.RedisError when it fails.
    """

    def __init__(
        self, redis: Redis, node: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._key = lease_key(node)
        self._clock = clock
        self._name = uuid4().hex
        self._renewals = 0
        self._script = redis.register_script(_SCRIPT)
        self._watched = ""
        self._since = clock()
        self._doubtful = False
        self._one_at_a_time = asyncio.Lock()

    async def take(self) -> bool:
        """Look once, and take the lease when nobody holds it; whether it is ours now."""
        try:
            found: Any = await self._redis.get(self._key)
        except BaseException:
            # Its holder could not renew it either, and gets the time to do so.
            self._doubtful = True
            raise
        seen = found.decode() if found else ""
        if seen != self._watched or self._doubtful:
            self._watched, self._since, self._doubtful = seen, self._clock(), False
        offered = not seen or seen.startswith("free ")
        if not offered and self._clock() - self._since < LAPSE_S:
            return False
        async with self._one_at_a_time:
            return (await self._replace(seen, self._next()))[0]

    async def renew(self) -> bool:
        """Renew it; False when another has taken it meanwhile."""
        return (await self.renew_and_read())[0]

    async def renew_and_read(self, *key: str) -> tuple[bool, bytes | None]:
        """The same, and what the key holds, which is read along: what a quiet bridge does is for
        the most part waking up for answers."""
        async with self._one_at_a_time:
            return await self._replace(self._present(), self._next(), *key)

    async def is_held_elsewhere(self) -> bool:
        """Whether somebody else holds it, or is offered it no more."""
        found: Any = await self._redis.get(self._key)
        return found is not None and found.decode().partition(" ")[0] not in (self._name, "free")

    async def offer(self) -> bool:
        """Let whoever stands by take it at once; False when another has taken it already."""
        async with self._one_at_a_time:
            return (await self._replace(self._present(), f"free {self._name}"))[0]

    def _present(self) -> str:
        return f"{self._name} {self._renewals}"

    def _next(self) -> str:
        return f"{self._name} {self._renewals + 1}"

    async def _replace(self, seen: str, value: str, *key: str) -> tuple[bool, bytes | None]:
        after, read = await self._script(keys=[self._key, *key], args=[seen, value, KEPT_MS])
        ours = after.decode() == value
        if ours and value == self._next():
            self._renewals += 1
        return ours, read
