"""The way from the engine to Asterisk, as an interface.

The setting CALLS_GATEWAY names the class, as EMAIL_BACKEND does for mail; the real one is
ari_bridge.gateway.AriGateway.
"""

import math
from typing import Protocol

from calls.machine.commands import AriCommand
from calls.machine.events import CommandDone, CommandFailed, Listed


class Gateway(Protocol):
    """Carries commands out. One gateway serves one worker process, on its event loop."""

    async def carry_out(
        self, node: str, command: AriCommand, again: bool, until_s: float = math.inf
    ) -> CommandDone | CommandFailed | Listed:
        """Do it and say what came of it, by *until_s* at the latest; never raises for a fault of
        Asterisk.

        ``again``: an earlier worker may have done it already, so look before doing what must not
        be done twice. ``until_s``, by `calls.clock.steady_s`: past it nothing is sent any more, as
        the call may belong to another worker then.
        """
        ...

    def knows(self, node: str) -> bool:
        """Whether commands to this node can be carried out at all."""
        ...

    def now_ms(self, node: str) -> int:
        """What time it is by the node's own clock, in ms since the epoch."""
        ...

    async def know_time(self) -> None:
        """Measure the nodes' clocks once, within a second."""
        ...

    async def keep_time(self) -> None:
        """Measure the nodes' clocks, for ever."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...
