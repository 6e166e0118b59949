"""How often callers are refused, and who is refused unlooked at for it.

A refusal costs a worker as much as a call that is routed, and writes a record; whoever tries out
numbers makes hundreds a second. So refusals have a rate of their own, for each account and each
source (the endpoint that calls). Past it the ARI bridge refuses by itself (ari_bridge/bouncer.py):
no mailbox, no worker, one record a second for all of them.

Keys (in REDIS_URL); this module alone writes them. A subject is ``account:<code>`` or
``source:<endpoint>``.

``ringmaster:refused:<subject>``
    refusals since the first within a second; lapses after it
``ringmaster:refusing``
    zset of subjects that are refused unlooked at, by until when, in ms since the epoch
"""

import logging

import redis
from redis.asyncio import Redis

from calls.routing.choice import CallFacts, Refusal
from calls.store.lean import patient
from cdr.record import Disposition

HOLD_MS = 1_000
"""How long a subject is refused unlooked at, from the refusal that was one too many. Then it is
looked at again, so that it is right again within a second, and its rate is what is allowed."""
COUNTED = frozenset(
    {
        Disposition.UNAUTHORIZED,
        Disposition.INVALID_NUMBER,
        Disposition.BLOCKED,
        Disposition.NO_ROUTE,
        Disposition.LOOP,
    }
)
"""Refusals that are the caller's own doing. Limits count for themselves, and faults are ours."""
REFUSING = "ringmaster:refusing"
LONGEST_SUBJECT = 120

logger = logging.getLogger(__name__)

# KEYS  zset of those refused, then the counter of each subject
# ARGV  most refusals a second, ms for which one is refused, then each subject
_NOTE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for index = 2, #KEYS do
  local count = redis.call('INCR', KEYS[index])
  if count == 1 then redis.call('PEXPIRE', KEYS[index], 1000) end
  if count >= tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[index + 1])
    redis.call('PEXPIRE', KEYS[1], 60000)
  end
end
"""
# KEYS  zset of those refused
# Returns the subjects that are refused now, and forgets the others.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""


def subject_of_account(code: str) -> str:
    """The subject that an account is."""
    return f"account:{code}"[:LONGEST_SUBJECT]


def subject_of_source(endpoint: str) -> str:
    """The subject that a calling endpoint is."""
    return f"source:{endpoint}"[:LONGEST_SUBJECT]


LOOK_PATIENCE_S = 0.2
"""How long a look at who is refused may wait for something to go along with: the listener's lease
is renewed as often, and calls that come bring it forward."""


class Refusals:
    """Counts refusals. ``most`` a second of one subject are looked at; 0: all of them."""

    def __init__(self, redis: Redis, most: int) -> None:
        self._most = most
        self._note = redis.register_script(_NOTE)
        self._now = patient(redis.register_script(_NOW), LOOK_PATIENCE_S)

    async def note(self, facts: CallFacts, refusal: Refusal) -> None:
        """Count a refusal. Never raises: a caller is refused whether or not it can be counted."""
        if not self._most or refusal.disposition not in COUNTED:
            return
        subjects = [subject_of_account(refusal.account)] if refusal.account else []
        subjects += [subject_of_source(facts.source)] if facts.source else []
        keys = [REFUSING, *(f"ringmaster:refused:{subject}" for subject in subjects)]
        try:
            await self._note(keys=keys, args=[self._most, HOLD_MS, *subjects])
        except redis.RedisError as error:
            logger.error("Call %s: its refusal could not be counted: %s", facts.call_id, error)

    async def refused_now(self) -> frozenset[str]:
        """The subjects that are refused unlooked at. Raises redis.RedisError."""
        found = await self._now(keys=[REFUSING])
        return frozenset(subject.decode() for subject in found)
