"""No wait for the database without an end.

PostgreSQL ends its own statements, and the kernel notices a host that takes no more packets; but a
server that is frozen, or a proxy whose other end is gone, takes what is sent and never answers, and
libpq waits for it for ever. So whoever waits here looks at the clock: `within` says how long, and
`LONGEST_S` where nobody does. What is waited for in vain loses its connection, and OperationalError
is raised; Django makes a new one the next time.
"""

import math
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.db import Error, connections, transaction

STATEMENT_S = 60
"""How long a statement may run on the server (migrations, which may take longer, lift it)."""
LONGEST_S = STATEMENT_S + 5
"""How long anything may wait for the server."""
# PostgreSQL's SQLSTATE for a statement that ran into its timeout.
_QUERY_CANCELED = "57014"
_SET_TIMEOUT = "SELECT set_config('statement_timeout', %s, true)"

_of_thread = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let everything in the block wait for the database for so long, all in all."""
    outer: tuple[float, float] | None = getattr(_of_thread, "limit", None)
    until_s = time.monotonic() + seconds
    if outer is None or until_s < outer[0]:
        _of_thread.limit = (until_s, seconds)
    try:
        yield
    finally:
        _of_thread.limit = outer


@contextmanager
def limited(using: str, ms: int) -> Iterator[None]:
    """Let PostgreSQL give up a statement of the block that takes longer; see `was_too_slow`.

    A transaction that was open goes on, with the timeout that it had. SQLite has no such limit.
    """
    if connections[using].vendor != "postgresql":
        yield
        return
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        # Not SET LOCAL: it would outlast this block where a transaction is already open.
        cursor.execute("SELECT current_setting('statement_timeout')")
        (before,) = cursor.fetchone()
        cursor.execute(_SET_TIMEOUT, [str(ms)])
        yield
        cursor.execute(_SET_TIMEOUT, [before])


def was_too_slow(error: Error) -> bool:
    """Whether PostgreSQL ended the statement because its time was up."""
    return getattr(error.__cause__, "pgcode", None) == _QUERY_CANCELED


def lift(using: str, **_: Any) -> None:
    """Let a migration take its time, but never make others wait behind its wait for a lock.

    Raises CommandError behind a pooler, where these settings would be somebody else's.
    """
    if connections[using].settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        raise CommandError(
            "Migrations need a connection to PostgreSQL of their own: run them with PostgreSQL's "
            "own address and without the pooler, DATABASE_POOLED=false "
            "DATABASE_URL=postgres://... manage.py migrate."
        )
    with connections[using].cursor() as cursor:
        if connections[using].vendor == "postgresql":
            cursor.execute("SET statement_timeout = 0; SET lock_timeout = '5s'")
    _of_thread.limit = (math.inf, math.inf)


def put_back(using: str, **_: Any) -> None:
    """The migrations are over."""
    _of_thread.limit = None
    with connections[using].cursor() as cursor:
        if connections[using].vendor == "postgresql":
            cursor.execute("RESET statement_timeout; RESET lock_timeout")


def install() -> None:
    """Let every connection of this process wait so, where psycopg2 is there at all."""
    try:
        from psycopg2 import extensions
    except ImportError:
        return
    extensions.set_wait_callback(_wait)


def _wait(raw: Any) -> None:
    """psycopg2's own way to let others decide how it waits, as gevent does."""
    from psycopg2 import OperationalError, extensions

    until_s, seconds = getattr(_of_thread, "limit", None) or (
        time.monotonic() + LONGEST_S,
        LONGEST_S,
    )
    events = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
    while (state := raw.poll()) != extensions.POLL_OK:
        poller = select.poll()
        poller.register(raw.fileno(), events[state])
        left_s = until_s - time.monotonic()
        if not poller.poll(None if left_s == math.inf else max(0.0, left_s) * 1000):
            raise OperationalError(f"no answer within {seconds:g} s")
