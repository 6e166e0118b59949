"""manage.py archive_cdrs: months of call records into Parquet, and off the database."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdr import archive
from cdr.archive import Month
from cdr.commands import AskingCommand
from cdr.errors import CdrError, first_line
from cdr.models import CdrArchive


def a_month(text: str) -> Month:
    """Read a month, as argparse wants it."""
    try:
        return Month.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no month; write 2026-10") from error


class Command(AskingCommand):
    help = (
        "Write whole months (UTC) of call records to Parquet, read the files back, and only when "
        "they hold every record delete these from the database. Without --month: every month that "
        "is older than CDR_MONTHS. Run it again when it was cut off."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", type=a_month, metavar="YYYY-MM", help="this month only")
        parser.add_argument("--folder", type=Path, help="where files go; default: ARCHIVE_FOLDER")
        parser.add_argument(
            "--keep", action="store_true", help="write and prove files, and delete nothing"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say which months, and do nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["folder"] or Path(settings.ARCHIVE_FOLDER)
        try:
            with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client:
                for month in self._months(options["month"]):
                    self._one(month, folder, client, options)
        except OSError as error:
            raise CommandError(f"{folder} cannot be written: {first_line(error)}.") from error
        except CdrError as error:
            raise CommandError(str(error)) from error

    def _months(self, asked: Month | None) -> list[Month]:
        if asked is not None:
            return [asked]
        if not settings.CDR_MONTHS:
            raise CommandError(
                "Call records are kept for ever (CDR_MONTHS=0). Set CDR_MONTHS, or name a --month."
            )
        months = archive.months_to_archive(settings.CDR_MONTHS, datetime.now(UTC))
        if not months:
            self.stdout.write(f"Nothing is older than {settings.CDR_MONTHS} months.")
        return months

    def _one(
        self, month: Month, folder: Path, client: "redis.Redis", options: dict[str, Any]
    ) -> None:
        why_not = archive.why_not(month, datetime.now(UTC), client)
        if why_not:
            raise CommandError(why_not)
        if options["dry_run"]:
            self.stdout.write(f"{month} would be archived to {folder}.")
            return
        # A run that was cut off has left these behind: their records are in files already.
        waiting = archive.undropped(month)
        if not waiting or not options["keep"]:
            for each in waiting:
                self._drop(each, folder)
            written = archive.write(month, folder)
            waiting = [written] if written is not None else []
            if written is None:
                self.stdout.write(f"{month}: no record is left in the database.")
        for each in waiting:
            self.stdout.write(
                f"{month}: {each.cdrs:,} records and {each.attempts:,} attempts are in "
                f"{folder / each.cdr_file} and {each.attempt_file}, and were read back."
            )
            if not options["keep"]:
                self._drop(each, folder)

    def _drop(self, found: CdrArchive, folder: Path) -> None:
        columns = (
            TextColumn("Deleting"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task("records", total=found.cdrs)
            dropped = archive.drop(found, folder, lambda done: bars.update(task, completed=done))
        self.stdout.write(f"{found}: {dropped:,} records are deleted from the database.")
