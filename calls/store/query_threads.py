"""Threads that ask the database for the event loop, each with a connection of its own.

No wait is longer than it was said to be: whoever asked has given up by then, and the thread must
be free for the next one. Where one connection was lost, those made before it are not tried any
more: a host that vanished and came back answers none of them, and each would cost a call its whole
patience.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection

from cdr import patience

PART_S = 1.0
"""How long `close` waits for threads to part with their connections."""

T = TypeVar("T")


class QueryThreads:
    """At most ``count`` queries at a time, of ``seconds`` each with all waiting for the server.

    Raises what the query raises; the longest wait ends with django.db.OperationalError.
    """

    def __init__(self, count: int, name: str, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._pool = concurrent.futures.ThreadPoolExecutor(count, thread_name_prefix=name)
        self._losses = 0
        self._of_thread = threading.local()
        self._asked = False

    def ask(self, query: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """What ``query(*args)`` gives in one of the threads."""
        # asgiref's sync_to_async would do too, and costs a fifth of a millisecond more.
        self._asked = True
        return asyncio.get_running_loop().run_in_executor(self._pool, self._ask, query, args)

    def close(self) -> None:
        """Let each thread part with its connection, and end."""
        if self._asked:
            together = threading.Barrier(self._count)
            parted = [self._pool.submit(self._part, together) for _ in range(self._count)]
            concurrent.futures.wait(parted, PART_S)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, query: Callable[..., T], args: tuple[Any, ...]) -> T:
        with patience.within(self._seconds):
            losses = self._losses
            if getattr(self._of_thread, "losses", 0) != losses:
                connection.close()
                self._of_thread.losses = losses
            try:
                return query(*args)
            except (OperationalError, InterfaceError):
                self._losses += 1
                raise

    def _part(self, together: threading.Barrier) -> None:
        try:
            # None of them may take this twice and leave another one connected.
            together.wait(self._seconds + PART_S)
        finally:
            connection.close()
