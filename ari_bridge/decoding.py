"""From ARI's JSON to the engine's events. Pure, and the only place that knows ARI's event fields.

Of some 60 events a call, these few matter; the event filter stops most others in Asterisk, and
what passes is told by its type before the rest is looked at.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from ari_bridge import phones
from calls import ids
from calls.machine.events import (
    CallEntered,
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelEvent,
    ChannelLeft,
    ChannelProgressed,
    ChannelRinging,
    HangupRequested,
)

EVENT_TYPES = (
    "StasisStart",
    "StasisEnd",
    "ChannelStateChange",
    "ChannelHangupRequest",
    "ChannelDestroyed",
    "Dial",
    "ChannelUserevent",
    "ApplicationReplaced",
)
"""What Asterisk is asked to send."""

MEDIA_VARIABLE = "RTPAUDIOQOS"
"""Filled when a channel ends. One variable tells both directions; those for MES, jitter, loss and
RTT apart tell the same with least, most and average, in five times the bytes."""

MOST_HOPS = 99
"""A higher hop count is taken for this one."""

LONGEST_TEXT = 256
"""Caller names, numbers and the like are cut to this many characters: they are not ours."""


def decode(message: dict[str, Any]) -> ChannelEvent | None:
    """The event that an ARI message means for a call, None when it means nothing to one.

    Raises KeyError, TypeError or ValueError for a message that is not as ARI's models say.
    """
    match message["type"]:
        case "Dial":
            return _dial(message)
        case "ChannelStateChange":
            return _state_change(message)
        case "StasisStart":
            return _entered(message)
        case "ChannelHangupRequest":
            channel, cause = message["channel"], _whole(message.get("cause"))
            soft = bool(message.get("soft"))
            return HangupRequested(_id(channel), at_ms(message), cause, soft, up=_is_up(channel))
        case "StasisEnd":
            return _left(message)
        case "ChannelDestroyed":
            cause, sip_code = _whole(message.get("cause")), _whole(message.get("tech_cause"))
            channel = message["channel"]
            return ChannelDestroyed(
                _id(channel),
                at_ms(message),
                cause or None,
                sip_code or None,
                _media(channel),
                _text(channel.get("protocol_id")),
                up=_is_up(channel),
            )
    return None


def entered_of(channel: dict[str, Any], now_ms: int) -> CallEntered:
    """The beginning of a call whose StasisStart was missed, from Asterisk's listing."""
    return _from_channel(channel, now_ms, recovered=True)


def parse(data: str | bytes) -> dict[str, Any]:
    """The message in a WebSocket frame. Raises ValueError when it is no JSON object."""
    message = orjson.loads(data)
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message


def at_ms(message: dict[str, Any]) -> int:
    """The message's timestamp, ``2026-11-23T14:40:00.123+0000``, in ms since the epoch."""
    text: str = message["timestamp"]
    return _seconds(text[:19] + text[23:]) * 1000 + int(text[20:23])


@lru_cache(maxsize=64)
def _seconds(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def _dial(message: dict[str, Any]) -> ChannelEvent | None:
    peer = message["peer"]
    channel = _id(peer)
    match message["dialstatus"]:
        case "":
            return ChannelDialled(channel, at_ms(message), _text(peer.get("protocol_id")))
        case "RINGING":
            return ChannelRinging(channel, at_ms(message))
        case "PROGRESS":
            return ChannelProgressed(channel, at_ms(message))
    return None


def _state_change(message: dict[str, Any]) -> ChannelEvent | None:
    channel = message["channel"]
    # Ringing comes as a Dial event too; A's own state before Up means nothing to us.
    if channel["state"] != "Up":
        return None
    if ids.is_ordered(_id(channel)):
        # Its phone is answered: now the caller is there.
        return _from_channel(channel, at_ms(message), recovered=False)
    return ChannelAnswered(_id(channel), at_ms(message))


def _entered(message: dict[str, Any]) -> ChannelEvent | None:
    channel = message["channel"]
    if ids.is_created_by_us(_id(channel)) or phones.is_unanswered(channel):
        return None
    return _from_channel(channel, at_ms(message), recovered=False)


def _left(message: dict[str, Any]) -> ChannelEvent | None:
    channel = message["channel"]
    name = _id(channel)
    if phones.is_unanswered(channel):
        return None
    return ChannelLeft(name, at_ms(message), _media(channel), up=_is_up(channel))


def _from_channel(channel: dict[str, Any], started_ms: int, *, recovered: bool) -> CallEntered:
    caller = channel.get("caller") or {}
    if not isinstance(caller, dict):
        raise TypeError("the caller is no object")
    return CallEntered(
        channel_id=_id(channel),
        at_ms=started_ms,
        channel_name=_text(channel["name"]),
        # A channel that Ringmaster called has dialled nothing, whatever stands there.
        dialled="" if ids.is_ordered(_id(channel)) else _text(channel["dialplan"]["exten"]),
        caller_number=_text(caller.get("number")),
        caller_name=_text(caller.get("name")),
        account_code=_text(channel.get("accountcode")),
        up=channel["state"] == "Up",
        recovered=recovered,
        sip_call_id=_text(channel.get("protocol_id")),
        hops=_hops(channel["dialplan"].get("app_data")),
    )


def _hops(stasis_data: Any) -> int:
    """The hop count behind the application's name, in ``ringmaster,2`` or as its argument.

    What is no number counts as none: the dialplan lets digits through only.
    """
    _, _, count = _text(stasis_data).partition(",")
    return min(int(count), MOST_HOPS) if count.isascii() and count.isdigit() else 0


def _id(channel: dict[str, Any]) -> str:
    value = channel["id"]
    if not isinstance(value, str) or not value:
        raise TypeError("a channel's id is no text")
    return value


def _is_up(channel: dict[str, Any]) -> bool:
    return bool(channel.get("state") == "Up")


def _media(channel: dict[str, Any]) -> str:
    """How the audio was; only with `channelvars = RTPAUDIOQOS` in ari.conf."""
    variables = channel.get("channelvars")
    told = _text(variables.get(MEDIA_VARIABLE)) if isinstance(variables, dict) else ""
    # Before it stand the SSRCs, random numbers that tell nobody anything.
    return told[max(0, told.find("lp=")) :]


def _whole(value: Any) -> int | None:
    if value is not None and not isinstance(value, int):
        raise TypeError("a cause is no whole number")
    return value


def _text(value: Any) -> str:
    return str(value or "")[:LONGEST_TEXT]
