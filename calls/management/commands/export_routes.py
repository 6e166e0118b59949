"""manage.py export_routes: all routes as CSV, to a file or to standard output."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from calls.models import Route
from calls.route_files.store import export
from cdr.commands import AskingCommand


class Command(AskingCommand):
    help = "Write all routes as CSV, in the form that import_routes reads."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", metavar="FILE", nargs="?", type=Path, help="standard output if left out"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["file"]
        if path is None:
            for line in export(Route.objects.all()):
                self.stdout.write(line, ending="")
            return
        try:
            number = _write(path)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stderr.write(f"{number:,} routes written to {path}.")


def _write(path: Path) -> int:
    """Write beside the file and put it in its place at the end: it is never there by half."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(unfinished, "x", encoding="utf-8", newline="") as file:
            lines = [file.write(line) for line in export(Route.objects.all())]
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(lines) - 1
