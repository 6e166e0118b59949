"""manage.py import_routes: routes from a CSV file, all of them or none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from calls.errors import CallError
from calls.route_files.diff import Diff
from calls.route_files.reading import Deck, Tick, decode
from calls.route_files.spec import COLUMNS
from calls.route_files.store import ImportRefused, carry_out, draft, quiet, read
from calls.store import config_version
from cdr.commands import AskingCommand

SHOWN_CHANGES = 50


class Command(AskingCommand):
    help = (
        f"Import routes from a CSV file with the columns {', '.join(COLUMNS)}; targets are written "
        "trunk:priority:weight:strip:add|trunk2:…. A route that is there already (same prefix and "
        "account) is changed. Nothing is imported unless all lines are good."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE.csv", type=Path)
        parser.add_argument(
            "--partial", action="store_true", help="import the good lines though others are bad"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would change, and change nothing"
        )
        parser.add_argument(
            "--delete-missing",
            action="store_true",
            help="delete the routes that the file does not have",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["partial"] and options["delete_missing"]:
            raise CommandError(
                "--partial and --delete-missing do not go together: the routes of the bad lines "
                "would be deleted."
            )
        try:
            with _progress() as progress, config_version.collect_failures() as failures:
                deck = read(decode(_content(options["file"])), progress)
                self._report_errors(deck)
                if deck.errors and not options["partial"] and not options["dry_run"]:
                    raise CommandError(
                        f"Nothing was imported: {_counted(len(deck.errors), 'bad line')}, "
                        f"{_counted(len(deck.routes), 'good one')}. "
                        "--partial imports the good ones."
                    )
                delete_missing = options["delete_missing"]
                if options["dry_run"]:
                    self._report_dry_run(deck, delete_missing, progress)
                    return
                done = carry_out(deck, delete_missing=delete_missing, progress=progress)
        except CallError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Imported: {done}.")
        if failures:
            raise CommandError(" ".join(failures))

    def _report_errors(self, deck: Deck) -> None:
        for error in deck.errors:
            self.stderr.write(str(error))

    def _report_dry_run(self, deck: Deck, delete_missing: bool, progress: Any) -> None:
        if deck.errors and delete_missing:
            raise ImportRefused(
                f"{_counted(len(deck.errors), 'bad line')}; what --delete-missing would delete is "
                "known only when all lines are good."
            )
        diff = draft(deck, delete_missing=delete_missing, progress=progress).diff
        self._report_changes(diff)
        self.stdout.write(f"Nothing was changed. An import would be: {diff}.")
        if deck.errors:
            raise CommandError(
                f"{_counted(len(deck.errors), 'bad line')}: only --partial would import the rest."
            )

    def _report_changes(self, diff: Diff) -> None:
        for line in diff.lines(SHOWN_CHANGES):
            self.stdout.write(line)
        more = len(diff.added) + len(diff.changed) + len(diff.removed) - SHOWN_CHANGES
        if more > 0:
            self.stdout.write(f"… and {more:,} more")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


@contextmanager
def _progress() -> Iterator[Callable[[str, int], Tick]]:
    """Bars on the terminal's error output; nothing where there is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield quiet
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:

        def begin(stage: str, number: int) -> Tick:
            task = bars.add_task(stage, total=number)
            return lambda done: bars.advance(task, done)

        yield begin
