"""manage.py drain: take no new calls somewhere, and wait until those that are up have ended."""

import getpass
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from calls.engine.draining import CannotDrain, Draining, Kind, drain, drains, end_drain
from calls.store import config_version
from calls.text import printable
from cdr.commands import AskingCommand

LOOK_S = 1.0
"""Between two looks at what is left."""


class Command(AskingCommand):
    help = (
        "Take no new calls on a node, a trunk or the whole switch, or no new turns in a worker, "
        "and let those that are up come to their end. Without arguments: shows what is drained, "
        "and how many are left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "kind", nargs="?", choices=[kind.value for kind in Kind], help="what is drained"
        )
        parser.add_argument(
            "name",
            nargs="?",
            default="",
            help="the node's name in ARI_NODES, the trunk's, or a worker's host:pid",
        )
        parser.add_argument("--why", default="", help="stands in the records of refused calls")
        parser.add_argument("--end", action="store_true", help="take new calls again")
        parser.add_argument("--wait", action="store_true", help="return when none is left")
        parser.add_argument(
            "--timeout",
            type=float,
            metavar="SECONDS",
            help="with --wait: end with 1 when some are left after so long",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._run(options)
        except CannotDrain as error:
            raise CommandError(str(error)) from error

    def _run(self, options: dict[str, Any]) -> None:
        if options["kind"] is None:
            self._show(drains())
            return
        kind, name = Kind(options["kind"]), options["name"]
        if (kind is Kind.SWITCH) == bool(name):
            raise CommandError(
                "The switch has no name: manage.py drain switch."
                if name
                else f"Say which {kind}: manage.py drain {kind} NAME."
            )
        with config_version.collect_failures() as failures:
            if options["end"]:
                ended = end_drain(kind, name)
                self.stdout.write("It takes new calls again." if ended else "It was not drained.")
            else:
                drain(kind, name, by=getpass.getuser(), why=options["why"])
        if failures:
            raise CommandError(" ".join(failures))
        if not options["end"]:
            self._show(_of(kind, name))
            if options["wait"]:
                self._wait(kind, name, options["timeout"])

    def _show(self, found: list[Draining]) -> None:
        for each in found:
            self.stdout.write(printable(each.words))
        if not found:
            self.stdout.write("Nothing is drained.")

    def _wait(self, kind: Kind, name: str, timeout_s: float | None) -> None:
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        before = -1
        while True:
            found = _of(kind, name)
            left = sum(each.left for each in found)
            if not found:
                raise CommandError("Somebody has ended this drain.")
            if not left:
                self.stdout.write("Empty.")
                return
            if left != before:
                self.stdout.write(f"{left:,} left")
            if until_s is not None and time.monotonic() >= until_s:
                raise CommandError(f"{left:,} are left after {timeout_s:g} s.")
            before = left
            time.sleep(LOOK_S)


def _of(kind: Kind, name: str) -> list[Draining]:
    return [each for each in drains() if each.kind is kind and each.name == name]
