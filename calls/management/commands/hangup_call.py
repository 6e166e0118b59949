"""manage.py hangup_call: end a live call from the command line."""

import asyncio
import getpass
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from kombu.exceptions import OperationalError

from calls import ids
from calls.engine import wall_clock_ms
from calls.events import HangupAsked
from calls.mailbox import Mailboxes, connect
from calls.nudges import Publisher


class Command(BaseCommand):
    help = "End a live call. Its CDR says that it was ended by an administrator."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("call", metavar="ID", help="as `manage.py live_calls` shows it")

    def handle(self, *args: Any, **options: Any) -> None:
        call = options["call"]
        try:
            ids.split_call_id(call)
            asyncio.run(self._ask(call))
        except ValueError as error:
            raise CommandError(str(error)) from error
        except redis.RedisError as error:
            raise CommandError(f"Redis (REDIS_URL) does not answer: {error}") from error
        self.stdout.write(f"Asked for the end of call {call}.")

    async def _ask(self, call: str) -> None:
        client = connect(settings.REDIS_URL)
        try:
            mailboxes = Mailboxes(client)
            await mailboxes.load_scripts()
            if call not in await mailboxes.live():
                raise CommandError(f"There is no live call {call}; `live_calls` shows those up.")
            asked = HangupAsked(wall_clock_ms(), getpass.getuser())
            self._nudge(await mailboxes.post([(call, asked)]))
        finally:
            await client.aclose()

    def _nudge(self, calls: list[str]) -> None:
        if not calls:
            return
        publisher = Publisher()
        try:
            publisher.publish(calls)
        except OperationalError as error:
            self.stderr.write(
                f"The broker takes no nudge ({error}); the call ends within a second."
            )
        finally:
            publisher.close()
