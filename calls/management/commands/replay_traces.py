"""manage.py replay_traces: kept calls through the code as it is now, before an upgrade."""

import re
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from calls.text import printable
from calls.whatif.retracing import retrace_all
from cdr.commands import AskingCommand

_AGO = re.compile(r"(?P<many>[0-9]{1,6})(?P<unit>[mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
SHOWN = 5
"""Differences of one call that are shown; what follows the first is often its consequence."""


class Command(AskingCommand):
    help = (
        "Decide kept calls once more, by the code as it is now, and list those it would treat "
        "otherwise. Exits 0 if there is none, 1 if there is any. Run the new version on the "
        "old one's database before an upgrade; it writes nothing and calls nobody."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="calls since then: 24h, 7d, or a time such as 2026-12-24T18:00 (UTC)",
        )
        parser.add_argument("--node", metavar="NAME", help="calls of this node only")
        parser.add_argument("--most", metavar="N", type=int, help="the newest N calls only")

    def handle(self, *args: Any, **options: Any) -> None:
        since = _since(options["since"]) if options["since"] else None
        looked, without_record, other = 0, 0, 0
        for found in retrace_all(since, options["node"], options["most"]):
            looked += 1
            without_record += not found.has_record
            if not found.differences:
                continue
            other += 1
            self.stdout.write(f"{printable(found.call_id)}  {found.started_at:%Y-%m-%d %H:%M:%S}")
            for difference in found.differences[:SHOWN]:
                self.stdout.write(f"    {printable(str(difference))}")
            if len(found.differences) > SHOWN:
                self.stdout.write(f"    and {len(found.differences) - SHOWN} more")
        note = f" ({without_record} without a record to compare)" if without_record else ""
        self.stdout.write(
            f"{looked:,} calls looked at{note}, {other:,} would be treated otherwise."
        )
        if other:
            raise SystemExit(1)


def _since(text: str) -> datetime:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return timezone.now() - timedelta(**{_UNITS[ago["unit"]]: int(ago["many"])})
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(
            f"--since is {text!r}, which is no time: write 24h, 7d, or 2026-12-24T18:00."
        )
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
