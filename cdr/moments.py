"""Between the times of calls, milliseconds since the Unix epoch, and people's. Pure."""

from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_FIRST_MS = -719_000 * _DAY_MS
_LAST_MS = 2_932_000 * _DAY_MS
"""In the years 1 and 9997: past these no calendar of Python's goes, in any zone."""


def moment_of(at_ms: int, zone: tzinfo = UTC) -> datetime:
    """The moment as a datetime in that zone, to the millisecond at any distance.

    Of what lies in no year that Python has, the first or the last: a time that somebody wrote wrong
    is shown wrong, and takes nothing away that stands beside it.
    """
    at_ms = min(max(at_ms, _FIRST_MS), _LAST_MS)
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)


def ms_of(moment: datetime) -> int:
    """Milliseconds since the epoch; a moment that names no zone is in UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round((aware - _EPOCH) / timedelta(milliseconds=1))
