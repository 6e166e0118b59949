"""The rates by which traffic is judged, from sums. Pure.

ASR and NER after ITU-T E.425; a seizure is a call (of a trunk: an attempt) that was dialled.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cdr.record import CallRecord, Disposition

PDD_EDGES_MS = (250, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12_000, 20_000)
"""Upper edges of the histogram of post-dial delays; its last bin is what took longer."""
BINS = len(PDD_EDGES_MS) + 1
NEVER_DIALLED = frozenset({"limited", "blocked", "no_route", "unauthorized"})
"""Dispositions of calls that this switch refused: no carrier can be blamed, none was seized."""


@dataclass(slots=True)
class Sums:
    """What was counted of some calls, or of some attempts on a trunk."""

    attempts: int = 0
    seizures: int = 0
    answered: int = 0
    effective: int = 0
    """Seizures that the network served: answered, busy, unanswered after ringing, declined."""
    talk_ms: int = 0
    billsec: int = 0
    pdd: list[int] = field(default_factory=lambda: [0] * BINS)
    """Histogram over `PDD_EDGES_MS`."""
    causes: Counter[str] = field(default_factory=Counter)
    """How often each ``<Q.850>/<SIP>`` ended an unanswered one."""

    def add(self, other: "Sums") -> None:
        """Count what ``other`` has counted too."""
        self.attempts += other.attempts
        self.seizures += other.seizures
        self.answered += other.answered
        self.effective += other.effective
        self.talk_ms += other.talk_ms
        self.billsec += other.billsec
        self.pdd = [mine + theirs for mine, theirs in zip(self.pdd, other.pdd, strict=True)]
        self.causes.update(other.causes)

    @property
    def asr(self) -> float | None:
        """Answer-seizure ratio, percent; None without a seizure."""
        return 100 * self.answered / self.seizures if self.seizures else None

    @property
    def ner(self) -> float | None:
        """Network effectiveness ratio, percent; None without a seizure."""
        return 100 * self.effective / self.seizures if self.seizures else None

    @property
    def acd_s(self) -> float | None:
        """Average call duration: mean talk of the answered, seconds; None without one."""
        return self.talk_ms / self.answered / 1000 if self.answered else None

    @property
    def minutes(self) -> float:
        """Minutes of talk."""
        return self.talk_ms / 60_000

    def pdd_ms(self, percent: float) -> float | None:
        """A percentile of the post-dial delay, ms; None where none was measured."""
        return percentile(self.pdd, percent)


def sums_of(record: CallRecord) -> Sums:
    """One call as it is counted; cdr.rollup asks the database for the same."""
    answered = record.answered_ms is not None
    rang = record.ringing_ms is not None or record.progress_ms is not None
    seized = bool(record.trunk) and record.disposition not in NEVER_DIALLED
    effective = (
        answered
        or record.disposition is Disposition.BUSY
        or (rang and record.disposition in (Disposition.NO_ANSWER, Disposition.CANCELLED))
        or (record.disposition is Disposition.REJECTED and (record.sip_code or 0) >= 600)
    )
    sums = Sums(
        attempts=1,
        seizures=int(seized),
        answered=int(answered),
        effective=int(seized and effective),
        talk_ms=record.talk_ms,
        billsec=record.billsec,
    )
    if record.pdd_ms is not None:
        sums.pdd[bisect_left(PDD_EDGES_MS, record.pdd_ms)] = 1
    if not answered:
        sums.causes[cause(record.q850_cause, record.sip_code)] = 1
    return sums


def percentile(histogram: Sequence[int], percent: float) -> float | None:
    """A percentile of a PDD histogram in ms, straight between the edges of its bin.

    In the open last bin it is that bin's lower edge: "at least so long".
    """
    total = sum(histogram)
    if not total:
        return None
    wanted, below, lower = total * percent / 100, 0, 0
    for upper, count in zip(PDD_EDGES_MS, histogram, strict=False):
        if count and below + count >= wanted:
            return lower + (upper - lower) * max(0.0, wanted - below) / count
        below, lower = below + count, upper
    return float(lower)


def cause(q850_cause: int | None, sip_code: int | None) -> str:
    """A cause as it is counted: ``17/486``, a dash for what is not known."""
    return "/".join("-" if code is None else str(code) for code in (q850_cause, sip_code))


def worst_causes(causes: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    """The most frequent causes, the most frequent first."""
    return sorted(causes.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
