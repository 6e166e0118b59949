"""Records that were found wait a little for those that were heard.

A Redis that went back by a second brings calls back that had ended in it. Their record went with
that second, but the worker that ended them remembers it and hands it over again
(calls/engine/keepsake.py); meanwhile a comparison may have had the call end once more, as found.
The first record in the database stays for good, so the one that rests on what was found waits until
the better one has had its time (docs/decisions/0038-an-end-that-is-told-again.md).

What waits stays pending in the stream: a writer that dies with it loses nothing.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from cdr.record import CallRecord, Integrity

WAIT_S = 5.0
"""A worker looks ten times a second whether Redis is back, and hands over within a second of it,
also on a busy machine. Nobody waits for one record that long."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream of records: its id there, the text it carries, and the record."""

    entry_id: str
    text: bytes
    record: CallRecord


class FoundEnds:
    """The entries of one writer that wait."""

    def __init__(
        self, wait_s: float = WAIT_S, steady_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._wait_s = wait_s
        self._steady_s = steady_s
        self._waiting: dict[tuple[str, bytes], tuple[float, Entry]] = {}
        """When each may be written, by the steady clock; by id and text, as a Redis that came back
        with an earlier clock may give an id once more."""

    def ready(self, entries: Iterable[Entry], most: int) -> list[Entry]:
        """Those that may be written now: of these, and of what has waited before about as many as
        ``most`` leaves room for.

        One that is given once more, as after a failure, has not to wait once more.
        """
        now_s = self._steady_s()
        ready: list[Entry] = []
        for entry in entries:
            if entry.record.integrity is Integrity.RECOVERED:
                key = (entry.entry_id, entry.text)
                self._waiting.setdefault(key, (now_s + self._wait_s, entry))
            else:
                ready.append(entry)
        due = (entry for due_s, entry in self._waiting.values() if due_s <= now_s)
        return ready + list(islice(due, max(1, most - len(ready))))

    @property
    def are_due(self) -> bool:
        """Whether one has waited long enough; the first has waited longest."""
        due_s = next((due_s for due_s, _ in self._waiting.values()), math.inf)
        return due_s <= self._steady_s()

    def done(self, entries: Iterable[Entry]) -> None:
        """These are written, or set aside."""
        for entry in entries:
            self._waiting.pop((entry.entry_id, entry.text), None)
