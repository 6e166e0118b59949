"""manage.py ledger: whether every call that began has its record."""

from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from calls.store.ledger import Ledger, Listed, ledger
from calls.text import printable
from cdr.commands import AskingCommand


def a_day(text: str) -> date:
    """Read a day; raises ValueError, which argparse tells."""
    return date.fromisoformat(text)


class Command(AskingCommand):
    help = (
        "Hold the calls that began on a day against their records, and list what does not fit. "
        "Ends with 1 when anything is missing, double, rejected or without a begin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--day", type=a_day, metavar="YYYY-MM-DD", help="a day in UTC; default: today"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        day = options["day"] or datetime.now(UTC).date()
        found = ledger(day)
        self._tell(found)
        if not found.is_green:
            raise CommandError("The ledger does not balance: see above.")

    def _tell(self, found: Ledger) -> None:
        self.stdout.write(f"Calls begun on {found.day} (UTC): {found.begun:,}")
        self.stdout.write(
            f"  = {found.written:,} written + {found.up:,} up + {found.waiting:,} waiting for the "
            f"database + {len(found.rejected):,} rejected + {found.missing_count:,} missing"
        )
        self._list("missing: begun, not up, and without a record", found.missing)
        self._list("rejected: what there was of them is set aside", found.rejected)
        self._list("records of calls of which no begin is known", found.unnoted)
        self._list("recovered: something was found by looking, not heard", found.recovered)
        for entry in found.aside:
            call = printable(entry.call) or "an unknown call"
            self.stdout.write(f"Set aside ({entry.kind}): {call}: {printable(entry.reason)}")
        if found.is_green:
            self.stdout.write("Nothing is missing, double or rejected.")

    def _list(self, what: str, calls: tuple[Listed, ...]) -> None:
        for each in calls:
            at = f"{each.begun_at:%H:%M:%S}" if each.begun_at else ""
            self.stdout.write(f"{what}: {printable(each.call)} {at}")
