"""manage.py watch_canaries: judge the changes that are tried on a part of the calls, now."""

from typing import Any

from calls.canary.course import look
from calls.text import printable
from cdr.commands import AskingCommand


class Command(AskingCommand):
    help = "Judge every running canary, as the records worker does each minute, and say how it is."

    def handle(self, *args: Any, **options: Any) -> None:
        found = look()
        for each in found:
            self.stdout.write(printable(f"{each.canary}: {each.sentence}."))
        if not found:
            self.stdout.write("No canary runs.")
