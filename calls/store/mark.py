"""Whether Redis has lost data: a mark that everybody looks at who rests on its memory.

Keys (in REDIS_URL); this module alone writes them:

``ringmaster:mark``
    a random text, written by whoever finds none; with Redis' own ``run_id`` it names one unbroken
    memory. Another mark says that Redis was emptied, another run_id that it was started again, or
    that a copy of it was promoted: the last second may be missing

Who the server is takes Redis as long to tell as ten looks at the mark. It cannot become another one
on the same connection, so it is asked on each new one, and now and then.
"""

import time
from typing import Any
from uuid import uuid4

from calls.store.lean import LeanRedis

KEY = "ringmaster:mark"
ASK_AGAIN_S = 5.0
"""So often the server is asked who it is, whatever is known of the connection."""

_SCRIPT = """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
return {redis.call('GET', KEYS[1]), run_id}
"""


class Mark:
    """The mark as one watcher saw it last."""

    def __init__(self, redis: LeanRedis) -> None:
        self._redis = redis
        self._script = redis.register_script(_SCRIPT)
        self._known: tuple[bytes, ...] = ()
        self._found: tuple[bytes, ...] = ()
        self._connection = 0
        """On which the server was asked who it is."""
        self._asked_s = float("-inf")

    async def has_changed(self) -> bool:
        """Whether Redis is not what it was when a change was attended to last; no at the first.

        Raises redis.RedisError when it fails.
        """
        mark: Any = await self._redis.get(KEY)
        return await self.shows_change(mark)

    async def shows_change(self, mark: bytes | None) -> bool:
        """As `has_changed`, for who has just read the mark, on the same client, along with what it
        asked there anyway."""
        if not self._is_as_found(mark):
            asked_s, connection = time.monotonic(), self._redis.connections_made
            self._found = tuple(await self._script(keys=[KEY], args=[uuid4().hex]))
            self._asked_s, self._connection = asked_s, connection
        self._known = self._known or self._found
        return self._known != self._found

    def _is_as_found(self, mark: bytes | None) -> bool:
        """Whether the mark alone says that nothing is new since the last look."""
        if not self._found or time.monotonic() > self._asked_s + ASK_AGAIN_S:
            return False
        # Asked for again on a new connection, should the old one have broken meanwhile.
        return self._connection == self._redis.connections_made and mark == self._found[0]

    def attended(self) -> None:
        """What had changed at the last look has been seen to; until then it is told again."""
        self._known = self._found
