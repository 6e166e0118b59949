"""A gateway that does nothing and remembers what was asked, as Django's mail outbox does."""

import asyncio
import math

from calls.clock import wall_clock_ms
from calls.machine.commands import AriCommand, LookUp
from calls.machine.events import CommandDone, CommandFailed, Listed


class RecordingGateway:
    """The gateway of calls/engine/asterisk.py; CALLS_GATEWAY may name it.

    ``outbox`` holds (node, command, again) in order. ``replies`` maps a command to the result to
    give instead of success.
    """

    def __init__(self, clock_ms: int = 0) -> None:
        self.outbox: list[tuple[str, AriCommand, bool]] = []
        self.replies: dict[AriCommand, CommandDone | CommandFailed | Listed] = {}
        self.clock_ms = clock_ms

    async def carry_out(
        self, node: str, command: AriCommand, again: bool, until_s: float = math.inf
    ) -> CommandDone | CommandFailed | Listed:
        self.outbox.append((node, command, again))
        if command in self.replies:
            return self.replies[command]
        if isinstance(command, LookUp):
            return Listed(self.clock_ms, {}, bridge=False)
        return CommandDone(self.clock_ms, command)

    def now_ms(self, node: str) -> int:
        return self.clock_ms or wall_clock_ms()

    def knows(self, node: str) -> bool:
        """Every node but one that is named so."""
        return node != "unknown"

    async def know_time(self) -> None:
        """Nothing to measure."""

    async def keep_time(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing to give up."""
