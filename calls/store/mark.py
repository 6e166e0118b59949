"""Whether Redis has lost data: a mark that everybody looks at who rests on its memory.

Keys (in REDIS_URL); this module alone writes them:

``ringmaster:mark``
    a random text, written by whoever finds none; with Redis' own ``run_id`` it names one unbroken
    memory. Another mark says that Redis was emptied, another run_id that it was started again, or
    that a copy of it was promoted: the last second may be missing
"""

from uuid import uuid4

from redis.asyncio import Redis

KEY = "ringmaster:mark"

_SCRIPT = """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
return {redis.call('GET', KEYS[1]), run_id}
"""


class Mark:
    """The mark as one watcher saw it last."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(_SCRIPT)
        self._known: tuple[bytes, ...] = ()
        self._found: tuple[bytes, ...] = ()

    async def has_changed(self) -> bool:
        """Whether Redis is not what it was when a change was attended to last; no at the first.

        Raises redis.RedisError when it fails.
        """
        self._found = tuple(await self._script(keys=[KEY], args=[uuid4().hex]))
        self._known = self._known or self._found
        return self._known != self._found

    def attended(self) -> None:
        """What had changed at the last look has been seen to; until then it is told again."""
        self._known = self._found
