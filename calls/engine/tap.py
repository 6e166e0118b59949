"""Who takes nudges from the queue in this worker: Celery's consumer, the engine's loop, or nobody.

The loop takes them itself where it can (calls/engine/intake.py); nobody takes any while the worker
is drained. What has been taken is attended to all the same; the queue itself is left to others,
over reconnects too, until the tap is opened again.
"""

import threading
from typing import Any


class Tap:
    """The tap of one worker process. Turned from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._consumer: Any = None
        self._queue = ""
        self._shut = False
        self._straight = False

    @property
    def is_shut(self) -> bool:
        """Whether the worker takes no nudges."""
        return self._shut

    @property
    def is_open(self) -> bool:
        """Whether nudges may be taken: the worker has begun to consume, and is not drained."""
        return self._consumer is not None and not self._shut

    def connect(self, consumer: Any, queue: str) -> None:
        """This is Celery's consumer of the queue now: after a start, and after each reconnect."""
        with self._lock:
            self._consumer, self._queue = consumer, queue
            if not self._is_celerys:
                self._turn()

    def turn(self, *, shut: bool) -> bool:
        """Shut or open it; whether that changed anything."""
        with self._lock:
            if shut == self._shut:
                return False
            was_celerys, self._shut = self._is_celerys, shut
            self._turn_if_other(was_celerys)
            return True

    def lead(self, *, straight: bool) -> None:
        """Let the engine's loop take the nudges, or leave them to Celery's consumer."""
        with self._lock:
            was_celerys, self._straight = self._is_celerys, straight
            self._turn_if_other(was_celerys)

    @property
    def _is_celerys(self) -> bool:
        return not (self._shut or self._straight)

    def _turn_if_other(self, was_celerys: bool) -> None:
        if self._consumer is not None and was_celerys is not self._is_celerys:
            self._turn()

    def _turn(self) -> None:
        consumer = self._consumer
        turn = consumer.add_task_queue if self._is_celerys else consumer.cancel_task_queue
        # On the consumer's own thread, which alone may speak over its connection.
        consumer.call_soon(turn, self._queue)


tap = Tap()
"""This process's."""
