"""manage.py watch_accounts: look for accounts that suddenly call otherwise than they ever did."""

import sys
from typing import Any

from calls.alarms.watch import watch
from cdr.commands import AskingCommand


class Command(AskingCommand):
    ends_with = 2
    help = (
        "Compare each account's last hour with its own history, as the records worker does every "
        "five minutes. Exits 1 if there is a new alarm."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        alarms = watch()
        for alarm in alarms:
            self.stdout.write(f"{alarm}")
        if alarms:
            sys.exit(1)
        self.stdout.write("No account calls otherwise than it used to.")
