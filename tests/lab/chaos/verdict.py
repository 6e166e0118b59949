"""What came of a row, counted from outside: SIPp's own calls against the CDRs, and what is left."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.lab.chaos.faults import Fault
from tests.lab.sip import SeenCall

RECOVERY_S = 3.0
COLUMNS = ("fault", "strikes", "calls", "answered", "refused", "cut", "CDR missing", "double",
           "recovered", "left over", "places leaked", "recovered after, s")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    fault: Fault
    strikes: int
    calls: int
    answered: int
    refused: int
    """Callers who heard something else than an answer."""
    cut: int
    """Talks that the caller did not end."""
    missing: int
    """Talks without a CDR that says answered."""
    double: int
    recovered: int
    left: int
    leaked: int
    longest_s: float
    """The longest time from a strike, or from the return of what had failed, without an answer."""

    @property
    def faults(self) -> list[str]:
        """What is not as it must be."""
        wrong = {
            "CDRs are missing": self.missing,
            "CDRs are double": self.double,
            "things are left over": self.left,
            "places are leaked": self.leaked,
            "talks were cut": 0 if self.fault.cuts else self.cut,
            "callers were refused": 0 if self.fault.refuses else self.refused,
        }
        return [f"{self.fault.name}: {count} {what}." for what, count in wrong.items() if count]

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as it is printed, without its name."""
        counts = (self.strikes, self.calls, self.answered, self.refused, self.cut,
                  self.missing, self.double, self.recovered, self.left, self.leaked)  # fmt: skip
        return (*map(str, counts), f"{self.longest_s:.1f}")


def row_of(
    fault: Fault,
    seen: Sequence[SeenCall],
    records: Iterable[tuple[str, str, str]],
    left: int,
    leaked: int,
    since: Sequence[float],
) -> Row:
    """Count one load. ``since``: from when on the service was to be had again, for each strike."""
    answered = [call for call in seen if call.final == 200]
    placed = {call.sip_call_id for call in seen}
    written = [record for record in records if record[0] in placed]
    said_answered = {call for call, how, _ in written if how == "answered"}
    times = Counter(call for call, _, _ in written)
    return Row(
        fault=fault,
        strikes=len(since),
        calls=len(seen),
        answered=len(answered),
        refused=len(seen) - len(answered),
        cut=sum(call.ended_by != "caller" for call in answered),
        missing=sum(call.sip_call_id not in said_answered for call in answered),
        double=sum(count - 1 for count in times.values()),
        recovered=sum(whole == "recovered" for _, _, whole in written),
        left=left,
        leaked=leaked,
        longest_s=_longest_s([call.answered_at for call in answered if call.answered_at], since),
    )


def _longest_s(answers: Sequence[float], since: Iterable[float]) -> float:
    """The longest time without an answer within ten seconds of each of these moments."""
    longest = 0.0
    for begin in since:
        moments = [begin, *sorted(at for at in answers if begin <= at <= begin + 10)]
        gaps = [after - before for before, after in pairwise(moments)]
        longest = max(longest, *gaps) if gaps else max(longest, 10.0)
    return longest
