"""Weekly schedules: text such as ``mon-fri 08:00-18:00, sat 09:00-12:00``.

    schedule = entry {"," entry}
    entry    = days [span {" " span}]       without a span: the whole day
    days     = "daily" | day | day "-" day  fri-mon goes over the end of the week
    day      = mon tue wed thu fri sat sun
    span     = HH:MM "-" HH:MM              22:00-06:00 goes on into the next day; 24:00 ends a day

Times are those on the wall of one time zone, so a day with a change of clocks has its schedule at
the usual hours.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from calls.errors import CallError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_M = 24 * 60
WEEK_M = 7 * DAY_M
MAX_TEXT = 200
"""The longest schedule, in characters."""

_SPAN = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")
_NO_SPACES_AROUND = re.compile(r"\s*-\s*")


class ScheduleError(CallError):
    """A schedule cannot be read; the text is a sentence for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something holds: spans of minutes since Monday 00:00, the end not included.

    A span that goes over the end of Sunday ends after ``WEEK_M``.
    """

    spans: tuple[tuple[int, int], ...]

    def covers(self, local: datetime) -> bool:
        """Whether it holds at this time on the wall."""
        minute = local.weekday() * DAY_M + local.hour * 60 + local.minute
        return any(
            begin <= minute < end or begin <= minute + WEEK_M < end for begin, end in self.spans
        )


@lru_cache(maxsize=4096)
def read_schedule(text: str) -> Schedule:
    """The schedule that *text* says. Raises ScheduleError with a sentence if it says none."""
    if len(text) > MAX_TEXT:
        raise ScheduleError(f"A schedule has up to {MAX_TEXT} characters, this one {len(text)}.")
    spans: list[tuple[int, int]] = []
    for entry in text.lower().split(","):
        spans += _entry(entry.strip())
    return Schedule(tuple(spans))


def _entry(text: str) -> list[tuple[int, int]]:
    words = _NO_SPACES_AROUND.sub("-", text).split()
    if not words:
        raise ScheduleError(
            "A schedule is made of entries such as mon-fri 08:00-18:00 with commas between them; "
            "here one of them is empty."
        )
    times = [_span(word) for word in words[1:]] or [(0, DAY_M)]
    return [
        (day * DAY_M + begin, day * DAY_M + end) for day in _days(words[0]) for begin, end in times
    ]


def _days(text: str) -> list[int]:
    if text == "daily":
        return list(range(7))
    first, dash, last = text.partition("-")
    for name in (first, last) if dash else (first,):
        if name not in DAYS:
            raise ScheduleError(
                f"{name[:20]!r} is no day: write {', '.join(DAYS)}, two of them as in mon-fri, "
                "or daily."
            )
    begin = DAYS.index(first)
    count = (DAYS.index(last) - begin) % 7 + 1 if dash else 1
    return [(begin + offset) % 7 for offset in range(count)]


def _span(text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ScheduleError(f"{text[:20]!r} is no time of day from-to: write it as in 08:00-18:00.")
    begin, end = (_minute(*match.group(*pair)) for pair in ((1, 2), (3, 4)))
    if begin == DAY_M:
        raise ScheduleError(f"{text} begins at 24:00, which is 00:00 of the next day.")
    if begin == end:
        raise ScheduleError(f"{text} begins and ends at the same time; a whole day is 00:00-24:00.")
    return begin, end if end > begin else end + DAY_M


def _minute(hour: str, minute: str) -> int:
    total = int(hour) * 60 + int(minute)
    if int(minute) > 59 or total > DAY_M:
        raise ScheduleError(f"{hour}:{minute} is no time of day; they go from 00:00 to 24:00.")
    return total
