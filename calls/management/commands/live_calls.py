"""manage.py live_calls: what is up now, and an end to it."""

import getpass
import sys
from dataclasses import asdict
from typing import IO, Any, cast

import orjson
import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.live import Live

from calls.clock import wall_clock_ms
from calls.engine.hangup import hang_up
from calls.engine.live import LiveCall
from calls.engine.overview import Wanted, live_now
from calls.management.keyboard import key, keys_of
from calls.management.live_screen import Screen, table

WATCH_S = 0.5
"""Time between two looks with --watch."""
WIDE = 160
"""Columns of the table where no terminal says how many there are."""


class Command(BaseCommand):
    help = "Show the calls that are up now, the oldest first; with --watch they can be hung up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--node", metavar="NAME", help="this node's calls only")
        parser.add_argument("--account", metavar="CODE", default="", help="this account's only")
        parser.add_argument("--trunk", metavar="NAME", default="", help="this trunk's only")
        parser.add_argument("--number", metavar="DIGITS", default="", help="in caller or callee")
        form = parser.add_mutually_exclusive_group()
        form.add_argument(
            "--watch",
            action="store_true",
            help="a live table, in which calls can be ticked and hung up; q or Ctrl-C ends it",
        )
        form.add_argument(
            "--json", action="store_true", help="one JSON object a line, for other programs"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        node = options["node"]
        if node is not None and node not in settings.ARI_NODES:
            known = ", ".join(settings.ARI_NODES) or "none"
            raise CommandError(f"ARI_NODES has no node {node!r}; it has {known}.")
        wanted = Wanted(
            account=options["account"],
            trunk=options["trunk"],
            node=node or "",
            number=options["number"],
        )
        try:
            if options["watch"]:
                _watch(wanted)
            else:
                self._show(found(wanted), options["json"])
        except redis.RedisError as error:
            raise CommandError(
                f"Redis (REDIS_URL), where the live calls are, does not answer: {error}"
            ) from error
        except KeyboardInterrupt:
            return

    def _show(self, calls: list[LiveCall], as_json: bool) -> None:
        if as_json:
            for call in calls:
                self.stdout.write(orjson.dumps(asdict(call)).decode())
            return
        console = Console(file=cast(IO[str], self.stdout))
        if not console.is_terminal:
            console.width = WIDE
        shown = table(calls, wall_clock_ms())
        shown.caption = "1 live call" if len(calls) == 1 else f"{len(calls)} live calls"
        console.print(shown)


def found(wanted: Wanted) -> list[LiveCall]:
    """The live calls that are asked for, the oldest first. Raises redis.RedisError."""
    calls = [call for call in live_now() if wanted.takes(call)]
    return sorted(calls, key=lambda call: (call.started_ms, call.call_id))


def _watch(wanted: Wanted) -> None:
    terminal = sys.stdin.fileno()
    if not sys.stdin.isatty():
        raise CommandError("--watch needs a terminal; without one, ask again and again.")
    screen, by = Screen(), getpass.getuser()
    with keys_of(terminal), Live(screen=True, auto_refresh=False) as view:
        while not screen.quits:
            screen.show(found(wanted))
            view.update(screen.draw(wall_clock_ms(), view.console.height), refresh=True)
            ended = screen.press(key(terminal, WATCH_S))
            if ended:
                asked = hang_up(ended, by)
                screen.told = f"Asked for the end of {len(asked.calls):,} calls. {asked.slow}"
