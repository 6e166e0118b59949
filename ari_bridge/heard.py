"""What a listener itself remembers of its node, and nobody else does once Redis has forgotten."""

from collections.abc import Container
from dataclasses import dataclass, replace

from calls import ids
from calls.machine.events import (
    ChannelAnswered,
    ChannelEnd,
    ChannelEvent,
    HangupRequested,
    with_answer,
)

CROSSES_MS = 2_000
"""An answer that crosses with our end of its attempt comes milliseconds before it; so much later it
is a talk that we end, whichever side is told of first."""


@dataclass(slots=True)
class _Answer:
    attempt: int
    at_ms: int
    caller_left: bool = False
    given_up: bool = False
    """Whether we ended the attempt while the caller stayed: its answer crossed with that."""


class Heard:
    """Which attempt of the node's present calls was answered, and when, in ms since the epoch by
    the node's clock."""

    def __init__(self) -> None:
        self._answered: dict[str, _Answer] = {}

    def note(self, event: ChannelEvent) -> ChannelEvent:
        """Take in what was heard. An end comes back with what is remembered of the answer: Redis
        may have forgotten that, and the end is the last that tells of the call."""
        if isinstance(event, ChannelAnswered):
            attempt = ids.attempt_of(event.channel_id)
            a_channel = ids.a_channel_of(event.channel_id)
            known = self._answered.get(a_channel)
            if attempt > (known.attempt if known else 0):
                self._answered[a_channel] = _Answer(attempt, event.at_ms)
        elif isinstance(event, ChannelEnd):
            answer = self._answered.get(ids.a_channel_of(event.channel_id))
            if answer is not None:
                return _told(event, answer)
        return event

    def answered_ms(self, a_channel: str, attempt: int = 0) -> int | None:
        """When B of this call answered, in this attempt (0: any); None where it was not heard."""
        answer = self._answered.get(a_channel)
        if answer is None or answer.given_up or attempt not in (0, answer.attempt):
            return None
        return answer.at_ms

    def keep_only(self, a_channels: Container[str]) -> None:
        """Forget all but these calls, which are those that a comparison found."""
        for a_channel in [each for each in self._answered if each not in a_channels]:
            del self._answered[a_channel]


def _told(event: ChannelEnd, answer: _Answer) -> ChannelEnd:
    """The end with what it tells of the answer, of which it may be the end itself."""
    if not ids.is_created_by_us(event.channel_id):
        answer.caller_left = True
    elif ids.attempt_of(event.channel_id) == answer.attempt and not answer.caller_left:
        soon = event.at_ms < answer.at_ms + CROSSES_MS
        answer.given_up |= isinstance(event, HangupRequested) and event.soft and soon
    if answer.given_up:
        return replace(event, up=False)
    return with_answer(event, answer.attempt, answer.at_ms)
