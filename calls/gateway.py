"""The way from the engine to Asterisk: an interface, and a stand-in that only records.

The setting CALLS_GATEWAY names the class, as EMAIL_BACKEND does for mail; the real one is
ari_bridge.gateway.AriGateway.
"""

from typing import Protocol

from calls.commands import AriCommand, LookUp
from calls.events import CommandDone, CommandFailed, Listed


class Gateway(Protocol):
    """Carries commands out. One gateway serves one worker process, on its event loop."""

    async def carry_out(
        self, node: str, command: AriCommand, again: bool
    ) -> CommandDone | CommandFailed | Listed:
        """Do it and say what came of it, within two seconds; never raises for a fault of Asterisk.

        ``again``: an earlier worker may have done it already, so look before doing what must not
        be done twice.
        """
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...


class RecordingGateway:
    """Does nothing and remembers what was asked, as Django's mail outbox does.

    ``outbox`` holds (node, command, again) in order. ``replies`` maps a command to the outcome to
    give instead of success.
    """

    def __init__(self, clock_ms: int = 0) -> None:
        self.outbox: list[tuple[str, AriCommand, bool]] = []
        self.replies: dict[AriCommand, CommandDone | CommandFailed | Listed] = {}
        self.clock_ms = clock_ms

    async def carry_out(
        self, node: str, command: AriCommand, again: bool
    ) -> CommandDone | CommandFailed | Listed:
        self.outbox.append((node, command, again))
        if command in self.replies:
            return self.replies[command]
        if isinstance(command, LookUp):
            return Listed(self.clock_ms, {}, bridge=False)
        return CommandDone(self.clock_ms, command)

    async def close(self) -> None:
        """Nothing to give up."""
