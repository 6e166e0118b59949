"""Whether a canary's new trunks are worse than the old ones, and whether it may step up. Pure.

Both arms are compared over the same time, that of the present share: calls that fail are recorded
sooner than those that are talked, so arms of which one has younger calls could not be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from calls.canary import statistics
from calls.canary.statistics import Counts

ALPHA = 0.01
"""The chance that a canary which is no worse ever goes back, over all its looks and measures."""
MEASURES = 3
"""Among which it is divided evenly (Bonferroni)."""
FIRST_LOOK = 10
"""Calls in the smaller arm from which on it is looked at: enough for one that answers nothing."""
GROWTH = 1.25
"""By so much the smaller arm has grown at the next look: what a look spends, another one lacks."""
FEWEST_VALUES = 20
"""Below it the rank test's approximation is none."""

ASR_POINTS = 0.03
WAIT_MS = 200
MOS_POINTS = 0.1
SUPERIORITY = 0.56
"""Differences below these are none that anybody would go back for, however certain they are: three
points of ASR; a median of 200 ms, or a mean opinion of 0.1, with 56 % of the pairs worse."""
TOLERATED = 0.10
"""It steps up when the new ASR is at most so much lower, with 95 % confidence."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The calls of one arm that have ended, of the present share."""

    calls: int = 0
    answered: int = 0
    waits_ms: Counts = field(default_factory=dict)
    """From the call's begin to the first ringing or early media: what its caller waited."""
    mos: Counts = field(default_factory=dict)
    """Of the sound that came from the callee."""

    @property
    def asr(self) -> float | None:
        """The share of answered calls, 0 to 1."""
        return self.answered / self.calls if self.calls else None

    @property
    def plain(self) -> Mapping[str, float | int | None]:
        """What people are shown of it."""
        return {
            "calls": self.calls,
            "asr": self.asr,
            "wait_ms": statistics.median(self.waits_ms) if self.waits_ms else None,
            "mos": statistics.mean(self.mos) if self.mos else None,
        }


def look_is_due(new: Sample, old: Sample, judged_calls: int) -> bool:
    """Whether enough calls have come since the last look, which saw ``judged_calls`` in the
    smaller arm (0: there was none at this share).

    When looks are made depends on how many calls there are, never on how they went.
    """
    return min(new.calls, old.calls) >= max(FIRST_LOOK, GROWTH * judged_calls)


def why_worse(new: Sample, old: Sample, look: int) -> str:
    """Why the new trunks are worse with confidence, at the look of this number; '' if they are not
    known to be."""
    allowed = statistics.spent_at(look, ALPHA / MEASURES)
    found = (
        _worse_asr(new, old, allowed),
        _worse_wait(new, old, allowed),
        _worse_sound(new, old, allowed),
    )
    return "; ".join(each for each in found if each)


def percent(share: float, digits: int = 0) -> str:
    """A share as all pages write it: ``18 %``."""
    return f"{100 * share:.{digits}f} %"


def _worse_asr(new: Sample, old: Sample, allowed: float) -> str:
    if new.asr is None or old.asr is None or new.asr > old.asr - ASR_POINTS:
        return ""
    p = statistics.fisher_fewer(new.answered, new.calls, old.answered, old.calls)
    if p > allowed:
        return ""
    return (
        f"ASR {percent(new.asr)} of {new.calls:,} calls against {percent(old.asr)} of "
        f"{old.calls:,} (Fisher's exact test: by chance {statistics.one_in(p)})"
    )


def _worse_wait(new: Sample, old: Sample, allowed: float) -> str:
    p = _rank_test(new.waits_ms, old.waits_ms, allowed)
    if p is None:
        return ""
    now, before = statistics.median(new.waits_ms), statistics.median(old.waits_ms)
    if now < before + WAIT_MS:
        return ""
    return (
        f"PDD {now / 1000:.1f} s against {before / 1000:.1f} s in the median "
        f"(Mann-Whitney: by chance {statistics.one_in(p)})"
    )


def _worse_sound(new: Sample, old: Sample, allowed: float) -> str:
    p = _rank_test(
        {-mos: count for mos, count in new.mos.items()},
        {-mos: count for mos, count in old.mos.items()},
        allowed,
    )
    if p is None:
        return ""
    now, before = statistics.mean(new.mos), statistics.mean(old.mos)
    if now > before - MOS_POINTS:
        return ""
    return f"MOS {now:.2f} against {before:.2f} (Mann-Whitney: by chance {statistics.one_in(p)})"


def _rank_test(new: Counts, old: Counts, allowed: float) -> float | None:
    """The chance of it where the new values are greater with confidence and by much; else None."""
    if min(sum(new.values()), sum(old.values())) < FEWEST_VALUES:
        return None
    if statistics.superiority(new, old) < SUPERIORITY:
        return None
    p = statistics.rank_sum_greater(new, old)
    return p if p <= allowed else None


def why_not_up(new: Sample, old: Sample, enough: int) -> str:
    """What keeps a canary that is not worse from its next share, in words; '' if nothing does."""
    if new.calls < enough:
        return f"{new.calls:,} of {enough:,} calls by the new trunks"
    if not old.calls:
        return "no call by the old trunks to compare with"
    least = statistics.least_difference(new.answered, new.calls, old.answered, old.calls)
    if least < -TOLERATED:
        return (
            f"the new ASR may be {percent(-least)} lower still; it waits until that is "
            f"{percent(TOLERATED)} at most"
        )
    return ""
