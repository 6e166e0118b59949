"""The order in which caught SIP messages led to each other. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from calls.story.sip import Part, SipMessage

_RANK = {Part.REQUEST: 0, Part.RESPONSE: 1, Part.ACK: 2}
"""What comes first among messages of one moment."""


def in_order(sip: Iterable[SipMessage]) -> list[SipMessage]:
    """By time, but no response before its request and no ACK before the answer that it takes.

    Asterisk copies what it sends after sending it, and on one machine the other end's next message
    may be there before.
    """
    messages = sorted(sip, key=lambda message: (message.at_us, _RANK[message.part]))
    began: dict[tuple[str, str], int] = {}
    for message in messages:
        if message.part is Part.REQUEST:
            began.setdefault((message.call_id, message.sequence), message.at_us)
    answered: dict[tuple[str, str], int] = {}
    for message in messages:
        if message.part is Part.RESPONSE and message.of_method == "INVITE":
            at_us = max(message.at_us, began.get((message.call_id, message.sequence), 0))
            if (message.code or 0) >= 200:
                answered.setdefault((message.call_id, message.number), at_us)

    def cause_us(message: SipMessage) -> int:
        if message.part is Part.ACK:
            return answered.get((message.call_id, message.number), 0)
        return began.get((message.call_id, message.sequence), 0)

    ordered = [replace(each, at_us=max(each.at_us, cause_us(each))) for each in messages]
    return sorted(ordered, key=lambda message: (message.at_us, _RANK[message.part]))
