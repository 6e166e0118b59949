"""manage.py hangup_call: end live calls from the command line."""

import getpass
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from calls import ids
from calls.engine.hangup import hang_up


class Command(BaseCommand):
    help = "End live calls. Their CDRs say that they were ended by an administrator."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "calls", metavar="ID", nargs="+", help="as `manage.py live_calls` shows it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for call in options["calls"]:
                ids.split_call_id(call)
            asked = hang_up(options["calls"], getpass.getuser())
        except ValueError as error:
            raise CommandError(str(error)) from error
        except redis.RedisError as error:
            raise CommandError(f"Redis (REDIS_URL) does not answer: {error}") from error
        for call in asked.calls:
            self.stdout.write(f"Asked for the end of call {call}.")
        if asked.slow:
            self.stderr.write(asked.slow)
        if asked.over:
            raise CommandError(
                f"There is no live call {', '.join(asked.over)}; `live_calls` shows those up."
            )
