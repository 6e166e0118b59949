"""manage.py export_cdrs: call records as CSV or Parquet, to a file or to standard output."""

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdr.commands import AskingCommand
from cdr.errors import first_line
from cdr.export import FORMATS, Row, rows
from cdr.models import Cdr


class Command(AskingCommand):
    help = "Write call records as CSV or Parquet, the oldest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            metavar="FILE",
            nargs="?",
            type=Path,
            help="its ending, .csv or .parquet, says in which form; standard output if left out",
        )
        parser.add_argument("--form", choices=sorted(FORMATS), help="whatever FILE is called")
        parser.add_argument("--since", metavar="TIME", help="2026-11-01 or 2026-11-01T18:00, UTC")
        parser.add_argument("--until", metavar="TIME", help="before this time, UTC")
        parser.add_argument("--account", metavar="CODE")
        parser.add_argument("--trunk", metavar="NAME")
        parser.add_argument("--callee", metavar="DIGITS", help="first digits of the called number")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path | None = options["file"]
        form = options["form"] or (path.suffix.removeprefix(".") if path else "csv")
        if form not in FORMATS:
            raise CommandError(
                f"{path} ends neither in .csv nor in .parquet: say --form csv or --form parquet."
            )
        queryset = _selected(options)
        try:
            if path is None:
                _write(sys.stdout.buffer, FORMATS[form].chunks(rows(queryset)))
                return
            part = path.with_name(f"{path.name}.part")
            with part.open("wb") as file, _progress() as progress:
                counted = _counted(rows(queryset), progress, queryset.count())
                _write(file, FORMATS[form].chunks(counted))
            part.rename(path)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {first_line(error)}.") from error


def _selected(options: dict[str, Any]) -> "QuerySet[Cdr]":
    queryset = Cdr.objects.order_by("started_at", "id")
    if options["since"]:
        queryset = queryset.filter(started_at__gte=_moment("--since", options["since"]))
    if options["until"]:
        queryset = queryset.filter(started_at__lt=_moment("--until", options["until"]))
    for name, field in (
        ("account", "account"),
        ("trunk", "trunk"),
        ("callee", "callee_normalised__startswith"),
    ):
        if options[name]:
            queryset = queryset.filter(**{field: options[name]})
    return queryset


def _moment(option: str, text: str) -> datetime:
    try:
        moment = parse_datetime(text)
        day = None if moment else parse_date(text)
    except ValueError:
        moment = day = None
    if moment is None and day is not None:
        moment = datetime(day.year, day.month, day.day)
    if moment is None:
        raise CommandError(f"{option} is {text!r}; write 2026-11-01 or 2026-11-01T18:00.")
    return moment if moment.tzinfo else timezone.make_aware(moment)


def _write(file: IO[bytes], chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        file.write(chunk)


def _progress() -> Progress:
    columns = (TextColumn("Call records"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _counted(records: Iterable[Row], progress: Progress, total: int) -> Iterator[Row]:
    task = progress.add_task("records", total=total)
    for number, row in enumerate(records, start=1):
        yield row
        if number % 500 == 0:
            progress.update(task, completed=number)
    progress.update(task, completed=total)
