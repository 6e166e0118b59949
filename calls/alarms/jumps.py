"""What is a jump: an account's last hour against its own history. Pure.

Stolen passwords are used at once and hard: a phone that made forty calls a day makes four hundred
an hour, to countries nobody there has called. An hour is alarming when it is several times the
busiest of the account's usual hours, and much in itself: three calls after none are no attack.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

FACTOR = 3
"""So many times what is usual is a jump."""
USUAL_PERCENT = 95
"""Of the hours in which the account called at all, so many had no more than what is usual: the one
busiest hour of a month must not hide the next attack."""
HISTORY_DAYS = 28
"""Four whole weeks, so that each hour of a week is in it alike."""


class Kind(StrEnum):
    """What jumped."""

    CALLS = "calls"
    COUNTRIES = "countries"
    MINUTES = "minutes"


AT_LEAST = {Kind.CALLS: 60, Kind.COUNTRIES: 5, Kind.MINUTES: 120}
"""Below these an hour is never alarming, so that a new account may begin to call."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What an account did in an hour: calls placed, countries called, minutes of talk."""

    calls: int = 0
    countries: int = 0
    minutes: int = 0

    def of(self, kind: Kind) -> int:
        """The figure of this kind."""
        return {
            Kind.CALLS: self.calls,
            Kind.COUNTRIES: self.countries,
            Kind.MINUTES: self.minutes,
        }[kind]


@dataclass(frozen=True, slots=True)
class Jump:
    """One figure of an account's hour that is far above what is usual for it."""

    account: str
    kind: Kind
    seen: int
    usual: int

    @property
    def sentence(self) -> str:
        """What the log and the admin say."""
        of = {
            Kind.CALLS: "calls",
            Kind.COUNTRIES: "countries called",
            Kind.MINUTES: "minutes of talk",
        }[self.kind]
        return (
            f"account {self.account}: {self.seen} {of} within an hour; usual are {self.usual} at "
            "most"
        )


def jumps(now: Mapping[str, Hour], history: Mapping[str, Sequence[Hour]]) -> Iterator[Jump]:
    """What jumped, of each account's last hour ``now`` against the hours in which it called."""
    for account, hour in now.items():
        for kind in Kind:
            usual = _usual([past.of(kind) for past in history.get(account, ())])
            seen = hour.of(kind)
            if seen >= AT_LEAST[kind] and seen > FACTOR * usual:
                yield Jump(account, kind, seen, usual)


def _usual(figures: Sequence[int]) -> int:
    """The nearest-rank percentile; 0 without any history."""
    if not figures:
        return 0
    ordered = sorted(figures)
    return ordered[max(-(-USUAL_PERCENT * len(ordered) // 100), 1) - 1]
