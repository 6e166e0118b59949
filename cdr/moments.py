"""Between the times of calls, milliseconds since the Unix epoch, and people's. Pure."""

from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(at_ms: int, zone: tzinfo = UTC) -> datetime:
    """The moment as a datetime in that zone, to the millisecond at any distance."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)


def ms_of(moment: datetime) -> int:
    """Milliseconds since the epoch; a moment that names no zone is in UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round((aware - _EPOCH) / timedelta(milliseconds=1))
