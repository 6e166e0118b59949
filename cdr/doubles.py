"""Second records of a call: what becomes of one that says otherwise than the first. No I/O.

The first record stays, always. A second one means that a call ended twice, which nobody can
explain, and somebody has to look at it; but for one case. A Redis that goes back in time, or that
lost what it knew, has a call end once more that had ended already. That end is found and not heard,
so the second record is a recovered one, and what it says otherwise (gone a little later, or before
the answer) is what was forgotten. Where the first was heard whole, such a record tells nothing new:
it is only told again (docs/decisions/0038-an-end-that-is-told-again.md).
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from cdr.models import Cdr
from cdr.record import Integrity


class Verdict(Enum):
    """What is to be done with a record."""

    WRITE = "write"
    """It is the first of its call, or the first one once more, as after a lost acknowledgement."""
    RETOLD = "retold"
    DOUBLE = "double"


class Told(NamedTuple):
    """What two records of the same call are compared by. The names are those of `Cdr`."""

    started_at: object
    answered_at: object
    ended_at: object
    disposition: str
    talk_ms: int
    account: str
    callee_received: str
    integrity: str

    @property
    def is_whole(self) -> bool:
        """Whether all of the call was heard."""
        return self.integrity == Integrity.COMPLETE


def told_of(row: Cdr) -> Told:
    """What this row says."""
    return Told(*(getattr(row, name) for name in Told._fields))


def judge(rows: Iterable[Cdr], known: dict[str, Told]) -> list[Verdict]:
    """A verdict for each row. ``known``: what the database has of these calls.

    Of two in ``rows`` the one that was heard whole is taken for the first.
    """
    rows = list(rows)
    first = dict(known)
    for row in sorted(rows, key=lambda row: row.integrity != Integrity.COMPLETE):
        first.setdefault(row.call_id, told_of(row))
    return [_verdict(first[row.call_id], told_of(row)) for row in rows]


def _verdict(first: Told, second: Told) -> Verdict:
    if second[:-2] == first[:-2]:
        return Verdict.WRITE
    return Verdict.RETOLD if _is_retold(first, second) else Verdict.DOUBLE


def _is_retold(first: Told, second: Told) -> bool:
    """Whether it is the same call, found to have ended by who had forgotten that it had."""
    same_call = (first.started_at, first.account, first.callee_received) == (
        second.started_at,
        second.account,
        second.callee_received,
    )
    # A talk of which the whole call knows nothing is no memory of it.
    new_talk = bool(second.talk_ms) and first.answered_at is None
    return first.is_whole and not second.is_whole and same_call and not new_talk
