"""Catching the SIP that Asterisk sends and receives: from HEP datagrams into Redis, masked.

What is caught cannot be known to belong to a call of ours, or to one that anybody will ask for, so
all of it is kept for minutes by its Call-ID, and put into the traces of the calls that end. Floods
are cut: this is an aid, and shares a Redis with the calls.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import orjson
import redis
from redis.asyncio import Redis

from ari_bridge.hep import SIP, HepError, unpack
from ari_bridge.quiet import OncePerSecond
from calls.story.sip import LONGEST, SipMessage, headers, masked
from cdr import signalling
from cdr.signalling import LONG_MS, LONGEST_CALL_ID, SHORT_MS, Caught

FLUSH_S = 0.05
"""How long messages gather before they go to Redis in one round trip."""
MOST_WAITING = 20_000
"""Messages that may wait for Redis, about 20 MB; past it the newest are dropped."""
MOST_PER_S = 3_000
"""Messages a second that are kept, those of some 200 calls; past it they are dropped."""
OF_CALLS = frozenset({"INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO", "REFER"})
"""Methods of calls: registrations and OPTIONS come all day and belong to none."""

logger = logging.getLogger(__name__)


def caught(datagram: bytes) -> Caught | None:
    """What is kept of a datagram; None for what belongs to no call.

    Raises HepError for what is no HEP.
    """
    packet = unpack(datagram)
    if packet.kind != SIP:
        return None
    text = packet.payload[:LONGEST].decode(errors="replace")
    call_id = headers(text).get("call-id", "")
    if not call_id or len(call_id) > LONGEST_CALL_ID:
        return None
    message = SipMessage(packet.at_us, packet.source, packet.target, call_id, masked(text))
    if message.of_method not in OF_CALLS:
        return None
    return Caught(call_id, orjson.dumps(message.to_plain()), _keep_ms(message))


def _keep_ms(message: SipMessage) -> int | None:
    """A call that is up is kept until it is over, and may be silent until then."""
    if message.of_method == "BYE":
        return SHORT_MS
    up = message.code is not None and 200 <= message.code < 300
    return LONG_MS if up and message.of_method == "INVITE" else None


class Catcher(asyncio.DatagramProtocol):
    """Takes datagrams in and hands them to Redis in batches. Lives on one event loop."""

    def __init__(self, client: Redis, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._redis = client
        self._clock_s = clock_s
        self._waiting: list[Caught] = []
        self._say = OncePerSecond(logger)
        self._second, self._in_second = 0, 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Keep what it holds, if there is room."""
        second = int(self._clock_s())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second > MOST_PER_S or len(self._waiting) >= MOST_WAITING:
            self._say.error("More SIP than can be kept comes in; some of it is left out.")
            return
        try:
            message = caught(data)
        except HepError as error:
            self._say.error("What came in is no HEPv3, it is left out: %s.", error)
            return
        if message is not None:
            self._waiting.append(message)

    async def run(self) -> None:
        """Hand over for ever."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Hand over what waits; while Redis is away it is dropped, as it lapses anyway."""
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        try:
            await signalling.put(self._redis, batch).execute()
        except redis.RedisError as error:
            self._say.error("Redis (REDIS_URL) takes no SIP messages: %s", error)
