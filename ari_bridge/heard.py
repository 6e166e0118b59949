"""What a listener itself remembers of its node, and nobody else does once Redis has forgotten."""

from collections.abc import Container
from dataclasses import replace

from calls import ids
from calls.machine.events import ChannelAnswered, ChannelEnd, ChannelEvent


class Heard:
    """Which attempt of the node's present calls was answered, and when, in ms since the epoch by
    the node's clock."""

    def __init__(self) -> None:
        self._answered: dict[str, tuple[int, int]] = {}

    def note(self, event: ChannelEvent) -> ChannelEvent:
        """Take in what was heard. An end comes back with what is remembered of the answer: Redis
        may have forgotten that, and the end is the last that tells of the call."""
        if isinstance(event, ChannelAnswered):
            number = ids.attempt_of(event.channel_id)
            a_channel = ids.a_channel_of(event.channel_id)
            if number > self._answered.get(a_channel, (0, 0))[0]:
                self._answered[a_channel] = (number, event.at_ms)
        elif isinstance(event, ChannelEnd):
            answer = self._answered.get(ids.a_channel_of(event.channel_id))
            if answer is not None:
                return replace(event, answered_leg=answer[0], answered_ms=answer[1], up=False)
        return event

    def answered_ms(self, a_channel: str) -> int | None:
        """When B of this call answered; None where that was not heard."""
        answer = self._answered.get(a_channel)
        return None if answer is None else answer[1]

    def keep_only(self, a_channels: Container[str]) -> None:
        """Forget all but these calls, which are those that a comparison found."""
        for a_channel in [each for each in self._answered if each not in a_channels]:
            del self._answered[a_channel]
