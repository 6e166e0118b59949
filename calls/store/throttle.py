"""How often one program may ask: a rate for each API token, and for each address of wrong ones.

Key (in REDIS_URL); this module alone writes it:

``ringmaster:api:<subject>``
    When the next request would be on time (GCRA), in ms since the epoch; lapses by itself. A
    subject is ``token:<key>`` or ``address:<address>``
"""

import logging

import redis
from django.conf import settings

from calls.store.impatient import impatient_redis

BURST_S = 2
"""So many seconds' worth of requests may come at once."""

logger = logging.getLogger(__name__)

# KEYS  when the next request would be on time
# ARGV  ms between two requests, how many ms early one may be
# Returns in how many ms to ask again; 0: now is all right.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local due = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local early = due - now - ARGV[2]
if early > 0 then return math.ceil(early) end
due = due + ARGV[1]
redis.call('SET', KEYS[1], string.format('%.3f', due), 'PX', math.ceil(due - now) + 1000)
return 0
"""


def wait_ms(subject: str, per_s: int | None = None) -> int:
    """Count a request; returns in how many ms to ask again, 0 where it may be answered now.

    ``per_s`` is the rate, by default that of the settings; 0 is none. Where Redis is away nobody
    is held up: what needs no Redis is to go on.
    """
    per_s = settings.API_REQUESTS_PER_S if per_s is None else per_s
    if not per_s:
        return 0
    try:
        with impatient_redis(settings.REDIS_URL) as client:
            script = client.register_script(_TAKE)
            between = 1000 / per_s
            asked: object = script(
                keys=[f"ringmaster:api:{subject}"], args=[between, BURST_S * 1000 - between]
            )
    except redis.RedisError as error:
        logger.warning("A request of %s could not be counted: %s", subject, error)
        return 0
    return int(str(asked))
