"""manage.py route_number: where a call would go, and why."""

import sys
from typing import IO, Any, cast

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rich.console import Console
from rich.table import Table
from rich.text import Text

from calls.models import Account
from calls.routing.steps import Mark
from calls.text import printable
from calls.whatif.explanation import Explanation, explain
from cdr.commands import AskingCommand
from cdr.moments import moment_of, ms_of

WIDE = 160
"""Columns of the table where no terminal says how many there are."""
STYLES = {Mark.FOUND: "green", Mark.PASSED_OVER: "dim", Mark.REFUSED: "bold red"}


class Command(AskingCommand):
    ends_with = 2
    help = "Show where a call would go, and why. Exits 0 if it is routed, 1 if refused."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="what is dialled, as the caller would send it")
        parser.add_argument(
            "--account", metavar="CODE", help="who calls; may be left out if there is only one"
        )
        parser.add_argument("--caller", metavar="NUMBER", default="", help="the caller's number")
        parser.add_argument(
            "--at", metavar="TIME", help="when, such as 2026-12-24T18:00+01:00; UTC if it says none"
        )
        parser.add_argument(
            "--call-id", default="explained", help="a call's id: draws the weights as that call did"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        explanation = explain(
            options["number"],
            account=options["account"] or _only_account(),
            caller=options["caller"],
            at_ms=_moment_ms(options["at"]),
            call_id=options["call_id"],
        )
        console = Console(file=cast(IO[str], self.stdout), highlight=False)
        if not console.is_terminal:
            console.width = WIDE
        show(console, explanation)
        if not explanation.routed:
            sys.exit(1)


def show(console: Console, explanation: Explanation) -> None:
    """Print the decision, step by step, and its outcome."""
    facts = explanation.facts
    when = moment_of(facts.at_ms)
    table = Table(caption=f"as of {when:%a %Y-%m-%d %H:%M:%S} UTC", caption_justify="left")
    for heading in ("", "looked at", "came of it", "why"):
        table.add_column(heading, overflow="fold")
    before = None
    for step in explanation.found.steps:
        table.add_row(
            "" if step.topic is before else step.topic.value,
            Text(printable(step.subject)),
            Text(step.mark.value, style=STYLES[step.mark]),
            Text(printable(step.detail)),
        )
        before = step.topic
    console.print(table)
    style = "bold green" if explanation.routed else "bold red"
    console.print(Text(printable(explanation.verdict), style=style))


def _only_account() -> str:
    codes = list(Account.objects.values_list("code", flat=True)[:2])
    if len(codes) == 1:
        return codes[0]
    raise CommandError(
        "There is no account yet; add one in the admin."
        if not codes
        else "Say whose call it is with --account CODE: there is more than one account.",
        returncode=2,
    )


def _moment_ms(text: str | None) -> int:
    if text is None:
        return ms_of(timezone.now())
    try:
        moment = parse_datetime(text.strip())
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(
            f"{text!r} is no time; write it as 2026-12-24T18:00 or with +01:00.", returncode=2
        )
    return ms_of(moment)
