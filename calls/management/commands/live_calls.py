"""manage.py live_calls: what is up now."""

import asyncio
from dataclasses import asdict
from typing import IO, Any, cast

import orjson
import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from calls.engine import wall_clock_ms
from calls.errors import CallError
from calls.live import LiveCall, LiveState, live_calls, printable
from calls.mailbox import Mailboxes, connect

WATCH_S = 0.5
"""Time between two looks with --watch."""
WIDE = 160
"""Columns of the table where no terminal says how many there are."""
STYLES = {
    LiveState.RINGING: "yellow",
    LiveState.EARLY_MEDIA: "yellow",
    LiveState.TALKING: "green",
    LiveState.ENDING: "dim",
}


class Command(BaseCommand):
    help = "Show the calls that are up now, the oldest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--node", metavar="NAME", help="this node's calls only")
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--watch", action="store_true", help="go on showing until Ctrl-C")
        form.add_argument(
            "--json", action="store_true", help="one JSON object a line, for other programs"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        node = options["node"]
        if node is not None and node not in settings.ARI_NODES:
            known = ", ".join(settings.ARI_NODES) or "none"
            raise CommandError(f"ARI_NODES has no node {node!r}; it has {known}.")
        try:
            asyncio.run(self._show(node, options["watch"], options["json"]))
        except redis.RedisError as error:
            raise CommandError(
                f"Redis (REDIS_URL), where the live calls are, does not answer: {error}"
            ) from error
        except CallError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            return

    async def _show(self, node: str | None, watch: bool, as_json: bool) -> None:
        async with connect(settings.REDIS_URL) as client:
            mailboxes = Mailboxes(client)
            if watch:
                await _watch(mailboxes, node)
                return
            calls = await live_calls(mailboxes, node)
        if as_json:
            for call in calls:
                self.stdout.write(orjson.dumps(asdict(call)).decode())
        else:
            console = Console(file=cast(IO[str], self.stdout))
            if not console.is_terminal:
                console.width = WIDE
            console.print(table(calls, wall_clock_ms()))


async def _watch(mailboxes: Mailboxes, node: str | None) -> None:
    with Live(screen=True, auto_refresh=False) as view:
        while True:
            view.update(table(await live_calls(mailboxes, node), wall_clock_ms()), refresh=True)
            await asyncio.sleep(WATCH_S)


def table(calls: list[LiveCall], now_ms: int) -> Table:
    """The calls as a table; ``now_ms`` is the present, in milliseconds since the Unix epoch."""
    shown = Table(caption=f"{len(calls)} live calls" if len(calls) != 1 else "1 live call")
    for heading in ("call", "account", "caller", "callee", "trunk", "state"):
        shown.add_column(heading, overflow="fold")
    shown.add_column("for", justify="right")
    for call in calls:
        shown.add_row(
            Text(printable(call.call_id)),
            Text(call.account),
            Text(printable(call.caller)),
            Text(printable(call.callee)),
            Text(call.trunk),
            Text(call.state, style=STYLES.get(call.state, "")),
            f"{max(0, now_ms - call.since_ms) // 1000} s",
        )
    return shown
