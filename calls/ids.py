"""Ids are chosen, not learned.

A call is named after its node and its first channel, and everything Ringmaster creates for the
call is named after that channel too. So an event finds its call by its channel id alone, a create
that is repeated is recognised by Asterisk (409), and a call can be rebuilt from a listing.

    call     demo:1763900000.12          node, colon, A's channel id
    B legs   1763900000.12.b1, .b2       one for each attempt
    bridge   1763900000.12.br

A call that somebody orders has no caller yet, so its first channel is named after the order:

    A        ordered-20261129-9f86d081884c7d65

The second half of a Local channel has Asterisk's own suffix: ``1763900000.12.b1;2``.
"""

import hashlib
import re
from functools import lru_cache

LONGEST = 256
"""The longest call id that is taken for one, in characters."""

_CALL_ID = re.compile(r"[a-z0-9-]+:[!-~]+")
_ORDERED = "ordered-"
_ORDERED_CHANNEL = re.compile(r"ordered-[0-9]{8}-[0-9a-f]+")
_CREATED = re.compile(r"^(?P<a>.+)\.(?:b(?P<attempt>[0-9]{1,4})(?:;[12])?|br)$")


def call_id(node: str, channel_id: str) -> str:
    """The id of the call that began with *channel_id* on *node*."""
    return f"{node}:{channel_id}"


@lru_cache(maxsize=4096)
def split_call_id(call: str) -> tuple[str, str]:
    """Node and A's channel id of a call id.

    Raises ValueError with a sentence when *call* is not a call id.
    """
    node, colon, channel_id = call.partition(":")
    if not (node and colon and channel_id):
        raise ValueError(f"{call!r} is not a call id: it should look like node:1763900000.12")
    return node, channel_id


def is_call_id(value: object) -> bool:
    """Whether this, of whatever type, can be the id of a call: for what strangers may have sent."""
    return (
        isinstance(value, str) and len(value) <= LONGEST and _CALL_ID.fullmatch(value) is not None
    )


def ordered_channel(orderer: str, key: str, day: str) -> str:
    """The channel id of A in a call that *orderer* orders under a *key* of theirs.

    The same order has the same channel, which Asterisk makes once only. ``day``, as ``20261129``,
    tells it from that of another day under the same key: a key may be used again after a day.
    """
    digest = hashlib.sha256(f"{orderer}\n{key}\n{day}".encode()).hexdigest()
    return f"{_ORDERED}{day}-{digest[:24]}"


def is_ordered(channel_id: str) -> bool:
    """Whether this is the caller's channel of a call that was ordered."""
    return _ORDERED_CHANNEL.fullmatch(channel_id) is not None


def b_channel(a_channel: str, attempt: int) -> str:
    """The channel id of B's leg in the given attempt (1, 2, …)."""
    return f"{a_channel}.b{attempt}"


def bridge_of(a_channel: str) -> str:
    """The id of the bridge in which the two legs of A's call meet."""
    return f"{a_channel}.br"


@lru_cache(maxsize=8192)
def a_channel_of(created_id: str) -> str:
    """The channel id of A, for A itself and for any channel or bridge made for A's call."""
    match = _CREATED.match(created_id)
    return match["a"] if match else created_id


@lru_cache(maxsize=8192)
def attempt_of(channel_id: str) -> int:
    """Which attempt this is B's channel of (1, 2, …); 0 for any other channel or bridge."""
    match = _CREATED.match(channel_id)
    return int(match["attempt"] or 0) if match else 0


@lru_cache(maxsize=8192)
def is_created_by_us(channel_or_bridge_id: str) -> bool:
    """Whether this id was chosen by Ringmaster, for a B leg or a bridge."""
    return _CREATED.match(channel_or_bridge_id) is not None
