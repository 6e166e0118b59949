"""Lets Celery's main loop sleep until there is something to do.

Where Celery's loop has no socket to wait for it sleeps a tenth of a second at a time, for ever; the
worker for calls is such a one, as it leaves its queue to the engine. And where it has one, it hears
of a signal when it next wakes for another reason. So it gets a socket on which Python itself tells
it of signals (`signal.set_wakeup_fd`).
"""

import signal
import socket
from contextlib import suppress
from typing import Any

from celery import bootsteps


class HearsSignals(bootsteps.StartStopStep):
    """A step of a worker's consumer; again after each reconnect, which empties the loop."""

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def start(self, consumer: Any) -> None:
        if consumer.hub is None:
            return
        hears, tells = self._ends = socket.socketpair()
        hears.setblocking(False)
        tells.setblocking(False)
        consumer.hub.add_reader(hears.fileno(), _take, hears)
        signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)

    def stop(self, consumer: Any) -> None:
        ends, self._ends = self._ends, None
        if ends is None:
            return
        signal.set_wakeup_fd(-1)
        consumer.hub.remove(ends[0].fileno())
        for end in ends:
            end.close()

    def terminate(self, consumer: Any) -> None:
        self.stop(consumer)


def _take(hears: socket.socket) -> None:
    """That it was heard is all: what is to be done the signals' handlers have noted."""
    with suppress(BlockingIOError):
        hears.recv(4096)
