"""The ledger: every call that began has its record, is up, or is listed.

It counts by what began, which the script that begins a call notes (cdr/stream.py), and holds the
call records against it, call by call. Nothing that writes, delays or loses a record touches those
notes, so a record that is missing shows.

    begun = written + up + waiting + rejected + missing

A call only ever moves to the right in: up, waiting for the database, written. So each is looked for
in that order, and one that moves in between is found at the next place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from calls.store import set_aside
from calls.store.impatient import impatient_redis
from calls.store.mailbox import ATTEND
from cdr.models import BegunCall, Cdr
from cdr.record import Integrity
from cdr.stream import BEGUN_FIELD, BEGUN_STREAM, FIELD, STREAM

LISTED = 500
"""Calls of each kind that are listed; all are counted."""
AT_ONCE = 1_000
"""Entries of a stream, or calls of a query, that are read in one round trip."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A call that is listed, and when it began; None where only its record is known."""

    call: str
    begun_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """One day (UTC) of the ledger. A call belongs to the day on which it began.

    ``up`` and ``waiting`` are on their way; ``rejected`` have a record, or a part of their call,
    set aside and no other record; ``missing`` are nowhere. ``unnoted`` are records of calls of
    which no begin is known. Lists hold `LISTED` calls at most, counts all.
    """

    day: date
    begun: int
    written: int
    up: int
    waiting: int
    rejected: tuple[Listed, ...]
    missing: tuple[Listed, ...]
    unnoted: tuple[Listed, ...]
    recovered: tuple[Listed, ...]
    missing_count: int
    unnoted_count: int
    recovered_count: int
    aside: tuple[set_aside.Entry, ...]
    """All that is set aside, of whatever day, doubles among it."""

    @property
    def doubles(self) -> tuple[set_aside.Entry, ...]:
        """Second records of a call that say otherwise than the first."""
        return tuple(each for each in self.aside if each.kind is set_aside.Kind.DOUBLE)

    @property
    def is_green(self) -> bool:
        """Whether nothing is missing, double, rejected or without a begin."""
        return not (self.missing_count or self.unnoted_count or self.rejected or self.aside)


def ledger(day: date) -> Ledger:
    """The ledger of a day (UTC). Raises redis.RedisError, or django.db.Error."""
    since = datetime.combine(day, time(), UTC)
    until = since + timedelta(days=1)
    with impatient_redis(settings.REDIS_URL) as client:
        noted = _noted(client, since, until)
        begun = BegunCall.objects.filter(begun_at__gte=since, begun_at__lt=until)
        total = begun.count()
        open_calls = _without_record(begun)
        fresh = {call: at for call, at in noted.items() if call not in open_calls}
        fresh_rows = _rows_of(fresh, BegunCall)
        total += len(fresh) - len(fresh_rows)
        open_calls |= {call: at for call, at in fresh.items() if call not in fresh_rows}
        live: Any = client.zrange(ATTEND, 0, -1)
        up = {call.decode(errors="replace") for call in live} & open_calls.keys()
        waiting = _waiting(client) & open_calls.keys() - up
        aside = tuple(set_aside.entries(client))
    written_since = _rows_of(open_calls.keys() - up - waiting, Cdr)
    unexplained = open_calls.keys() - up - waiting - written_since
    rejected = unexplained & {entry.call for entry in aside}
    missing = unexplained - rejected
    unnoted = _unnoted(since, until)
    recovered = Cdr.objects.filter(
        started_at__gte=since, started_at__lt=until, integrity=Integrity.RECOVERED.value
    )
    return Ledger(
        day=day,
        begun=total,
        written=total - len(up) - len(waiting) - len(unexplained),
        up=len(up),
        waiting=len(waiting),
        rejected=_listed(rejected, open_calls),
        missing=_listed(missing, open_calls),
        unnoted=_first(unnoted),
        recovered=_first(recovered),
        missing_count=len(missing),
        unnoted_count=unnoted.count(),
        recovered_count=recovered.count(),
        aside=aside,
    )


def _without_record(begun: QuerySet[BegunCall]) -> dict[str, datetime]:
    has_record = Exists(Cdr.objects.filter(call_id=OuterRef("call_id")))
    return dict(begun.filter(~has_record).values_list("call_id", "begun_at"))


def _unnoted(since: datetime, until: datetime) -> QuerySet[Cdr]:
    """Records of calls of which no begin is known, since begins are noted at all."""
    first = BegunCall.objects.order_by("begun_at").values_list("begun_at", flat=True).first()
    noted = Exists(BegunCall.objects.filter(call_id=OuterRef("call_id")))
    # A call's first moment is Asterisk's, its note's is that of Redis.
    since = max(since, first + timedelta(minutes=1)) if first else until
    return Cdr.objects.filter(~noted, started_at__gte=since, started_at__lt=until)


def _noted(client: "redis.Redis", since: datetime, until: datetime) -> dict[str, datetime]:
    """Calls that began that day and whose notes are not in the database yet."""
    found = {}
    first, last = (round(each.timestamp() * 1000) for each in (since, until))
    for entry_id, values in _entries(client, BEGUN_STREAM, str(first), f"({last}"):
        at = datetime.fromtimestamp(int(entry_id.partition(b"-")[0]) / 1000, UTC)
        found[values.get(BEGUN_FIELD.encode(), b"").decode(errors="replace")] = at
    return found


def _waiting(client: "redis.Redis") -> set[str]:
    """Calls whose records wait for the database."""
    entries = _entries(client, STREAM, "-", "+")
    return {set_aside.call_of(values.get(FIELD.encode(), b"")) for _, values in entries}


def _entries(
    client: "redis.Redis", stream: str, first: str, last: str
) -> Iterable[tuple[bytes, dict[bytes, bytes]]]:
    while True:
        some: Any = client.xrange(stream, first, last, count=AT_ONCE)
        yield from some
        if len(some) < AT_ONCE:
            return
        first = f"({some[-1][0].decode()}"


def _rows_of(calls: Iterable[str], model: type[BegunCall] | type[Cdr]) -> set[str]:
    asked = list(calls)
    found: set[str] = set()
    for start in range(0, len(asked), AT_ONCE):
        rows = model._default_manager.filter(call_id__in=asked[start : start + AT_ONCE])
        found.update(rows.values_list("call_id", flat=True))
    return found


def _listed(calls: Iterable[str], begun: dict[str, datetime]) -> tuple[Listed, ...]:
    found = sorted((Listed(call, begun[call]) for call in calls), key=lambda each: each.call)
    return tuple(sorted(found, key=lambda each: each.begun_at or datetime.max)[:LISTED])


def _first(records: QuerySet[Cdr]) -> tuple[Listed, ...]:
    rows: Sequence[tuple[str, datetime]] = list(
        records.order_by("started_at", "id").values_list("call_id", "started_at")[:LISTED]
    )
    return tuple(Listed(*row) for row in rows)
