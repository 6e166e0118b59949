"""What goes on beside the writing of records, again and again, in a thread of its own."""

import threading
from collections.abc import Callable

from django.db import Error, close_old_connections, connections


def in_rounds(
    work: Callable[[], object],
    stop: threading.Event,
    every_s: float,
    failed: Callable[[Error], None],
    *,
    at_once: bool = False,
) -> None:
    """Do *work* every so many seconds until ``stop`` is set, the first time after a pause unless
    ``at_once``.

    ``failed`` says what it means when the database fails it; the next round tries again. The
    thread's connections are closed in the end.
    """
    try:
        ends = stop.is_set() if at_once else stop.wait(every_s)
        while not ends:
            close_old_connections()
            try:
                work()
            except Error as error:
                failed(error)
            ends = stop.wait(every_s)
    finally:
        connections.close_all()
