"""What a listener itself remembers of its node, and nobody else does once Redis has forgotten."""

from collections.abc import Container

from calls import ids
from calls.machine.events import ChannelAnswered, ChannelEvent


class Heard:
    """When the node's present calls were answered, in ms since the epoch by the node's clock."""

    def __init__(self) -> None:
        self._answered: dict[str, int] = {}

    def note(self, event: ChannelEvent) -> None:
        """Take in what was heard."""
        if isinstance(event, ChannelAnswered) and ids.is_created_by_us(event.channel_id):
            self._answered.setdefault(ids.a_channel_of(event.channel_id), event.at_ms)

    def answered_ms(self, a_channel: str) -> int | None:
        """When B of this call answered; None where that was not heard."""
        return self._answered.get(a_channel)

    def keep_only(self, a_channels: Container[str]) -> None:
        """Forget all but these calls, which are those that a comparison found."""
        for a_channel in [each for each in self._answered if each not in a_channels]:
            del self._answered[a_channel]
