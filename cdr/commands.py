"""What commands have in common that ask the database, or Redis."""

from typing import Any, ClassVar

import redis
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from cdr.errors import database_away


class AskingCommand(BaseCommand):
    """A command that ends with a sentence when the database or Redis fails it.

    ``ends_with`` is its exit status then, where 1 means something else.
    """

    ends_with: ClassVar[int] = 1

    def execute(self, *args: Any, **options: Any) -> str | None:
        """As Django's; raises CommandError for what the servers raise."""
        try:
            return super().execute(*args, **options)
        except redis.RedisError as error:
            why = f"Redis (REDIS_URL) does not answer: {error}"
            raise CommandError(why, returncode=self.ends_with) from error
        except Error as error:
            raise CommandError(database_away(error), returncode=self.ends_with) from error
