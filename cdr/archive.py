"""Months of call records that leave the database: into Parquet first, proven, and then off.

    write ─▶ read the file back and hold it against the database ─▶ note it ─▶ delete what it holds

A record is deleted only when a file that was read back holds it; what is deleted is told by that
file, not by a date. So a run may be cut off anywhere: the next one goes on, and a record that came
in between goes into a further file of its month.

Rows are deleted in batches of some milliseconds, with as long a pause after each: nobody waits for
a lock, on SQLite neither. Why not by partitions: docs/decisions/0025-months-leave-in-batches.md.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow.compute as pc
import pyarrow.parquet as pq
import redis
from django.db import connection, models, transaction
from django.db.models import Count, QuerySet, Sum

from cdr.errors import CdrError
from cdr.export import FETCHED_AT_ONCE, parquet
from cdr.models import BegunCall, Cdr, CdrArchive, CdrAttempt, HourDue
from cdr.moments import moment_of
from cdr.stream import FIELD, REJECTED_STREAM, STREAM

SETTLED = timedelta(days=2)
"""So long a month must be over: a call of its last day has ended by then, and is written."""
BATCH = 1_000
"""Calls that one transaction deletes."""
AT_ONCE = 1_000
"""Entries of a stream that are read in one round trip."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month in UTC. A call belongs to that in which it began."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: date) -> "Month":
        """The month in which it lies; of a datetime, one in UTC."""
        return cls(moment.year, moment.month)

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Read ``2026-10``; raises ValueError."""
        return cls.of(datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC))

    def plus(self, months: int) -> "Month":
        """So many months later."""
        count = self.year * 12 + self.number - 1 + months
        return Month(count // 12, count % 12 + 1)

    @property
    def begins(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def ends(self) -> datetime:
        """The first moment after it."""
        return self.plus(1).begins

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


@dataclass(frozen=True, slots=True)
class Held:
    """What there is of some calls, to be compared: rows, and what would show a row cut short."""

    cdrs: int
    attempts: int
    talk_ms: int
    billsec: int


def months_to_archive(kept: int, now: datetime) -> list[Month]:
    """The months with records that are older than the ``kept`` whole months before this one."""
    first = Cdr.objects.order_by("started_at", "id").first()
    if first is None:
        return []
    month, until = Month.of(first.started_at.astimezone(UTC)), Month.of(now).plus(-kept)
    found = []
    while month < until and month.ends + SETTLED <= now:
        if Cdr.objects.filter(**_within(month)).exists():
            found.append(month)
        month = month.plus(1)
    return found


def why_not(month: Month, now: datetime, client: "redis.Redis") -> str:
    """Why this month cannot leave yet, as a sentence; '' when it can.

    Raises django.db.Error, redis.RedisError.
    """
    if now < month.ends + SETTLED:
        return f"{month} is not over for {SETTLED.days} days."
    due = HourDue.objects.filter(hour__gte=month.begins, hour__lt=month.ends).count()
    if due:
        return (
            f"{due} hours of {month} have yet to be added up for charts and reports, which the "
            "records worker does within minutes."
        )
    for stream, what in ((STREAM, "wait for the database"), (REJECTED_STREAM, "are set aside")):
        waiting = sum(_began_in(month, text) for text in _texts(client, stream))
        if waiting:
            return f"{waiting} records of {month} {what}: they are to be settled first."
    return ""


def write(month: Month, folder: Path) -> CdrArchive | None:
    """Write the month's records to files, read these back, and note them; None where none is left.

    Deletes nothing. Raises CdrError when the files do not hold what the database does, OSError, or
    django.db.Error.
    """
    records = Cdr.objects.filter(**_within(month), pk__gt=0)
    if not records.exists():
        return None
    number = CdrArchive.objects.filter(month=month.begins.date()).count() + 1
    name = f"{month}" if number == 1 else f"{month}.{number}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = [folder / f"cdrs-{name}.parquet", folder / f"attempts-{name}.parquet"]
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # Both files, and the sums, of one moment.
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        attempts = CdrAttempt.objects.filter(**{f"cdr__{k}": v for k, v in _within(month).items()})
        _write(files[0], Cdr, records.order_by("started_at", "id"))
        _write(files[1], CdrAttempt, attempts.order_by("cdr_id", "number"))
        expected = _in_database(records, attempts)
    archive = CdrArchive(
        month=month.begins.date(),
        cdrs=expected.cdrs,
        attempts=expected.attempts,
        talk_ms=expected.talk_ms,
        billsec=expected.billsec,
        cdr_file=files[0].name,
        cdr_sha256=_sha256(files[0]),
        attempt_file=files[1].name,
        attempt_sha256=_sha256(files[1]),
    )
    found = _in_files(files)
    if found != expected:
        raise CdrError(
            f"The files of {month} hold {found}, the database {expected}: nothing is deleted. "
            f"Remove {files[0]} and {files[1]}, and try again."
        )
    archive.save()
    return archive


def drop(archive: CdrArchive, folder: Path, tell: Callable[[int], None] = lambda done: None) -> int:
    """Delete the rows that these files hold, and return how many calls there were.

    ``tell`` is told how many calls have been gone through. Raises CdrError when the files are not
    what was noted, OSError, or django.db.Error; to do it again goes on where it was cut off.
    """
    file = folder / archive.cdr_file
    for path, noted in (
        (file, archive.cdr_sha256),
        (folder / archive.attempt_file, archive.attempt_sha256),
    ):
        if _sha256(path) != noted:
            raise CdrError(f"{path} is not the file that was archived: nothing is deleted.")
    dropped = done = 0
    for ids, calls in _batches(file):
        began = time.monotonic()
        with transaction.atomic():
            BegunCall.objects.filter(call_id__in=calls).delete()
            CdrAttempt.objects.filter(cdr_id__in=ids).delete()
            dropped += _delete(Cdr, ids)
        done += len(ids)
        tell(done)
        # Whoever writes records meanwhile has the database for himself half of the time.
        time.sleep(time.monotonic() - began)
    archive.dropped_at = datetime.now(UTC)
    archive.save(update_fields=["dropped_at"])
    return dropped


def undropped(month: Month) -> list[CdrArchive]:
    """Archives of the month whose rows are not all deleted yet."""
    found = CdrArchive.objects.filter(month=month.begins.date(), dropped_at__isnull=True)
    return list(found.order_by("pk"))


def has_left(moment: datetime) -> bool:
    """Whether records of that moment's month have left the database."""
    month = Month.of(moment.astimezone(UTC))
    return CdrArchive.objects.filter(month=month.begins.date(), dropped_at__isnull=False).exists()


def _within(month: Month) -> dict[str, datetime]:
    return {"started_at__gte": month.begins, "started_at__lt": month.ends}


def _write(path: Path, model: type[models.Model], queryset: "QuerySet[Any]") -> None:
    names = [field.attname for field in model._meta.concrete_fields]
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        rows = queryset.values_list(*names).iterator(chunk_size=FETCHED_AT_ONCE)
        for chunk in parquet(model, names, rows):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _in_database(records: "QuerySet[Cdr]", attempts: "QuerySet[CdrAttempt]") -> Held:
    sums = records.order_by().aggregate(
        cdrs=Count("pk"), talk=Sum("talk_ms", default=0), billed=Sum("billsec", default=0)
    )
    return Held(sums["cdrs"], attempts.order_by().count(), int(sums["talk"]), int(sums["billed"]))


def _in_files(files: Sequence[Path]) -> Held:
    """What the files say when they are read, not what was meant to be written."""
    table = pq.read_table(files[0], columns=["call_id", "talk_ms", "billsec"])
    once = len(pc.unique(table["call_id"]))
    if once != table.num_rows:
        raise CdrError(f"{files[0]} holds {table.num_rows} records of {once} calls.")
    return Held(
        table.num_rows,
        pq.read_table(files[1], columns=["cdr_id"]).num_rows,
        pc.sum(table["talk_ms"]).as_py() or 0,
        pc.sum(table["billsec"]).as_py() or 0,
    )


def _batches(path: Path) -> Iterator[tuple[list[int], list[str]]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH, columns=["id", "call_id"]):
            yield batch["id"].to_pylist(), batch["call_id"].to_pylist()


def _delete(model: type[models.Model], ids: Sequence[int]) -> int:
    """Without reading the rows first, as Django does where others refer to them: they are gone."""
    marks = ", ".join(["%s"] * len(ids))
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {model._meta.db_table} WHERE id IN ({marks})", list(ids))  # noqa: S608
        return int(cursor.rowcount)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _texts(client: "redis.Redis", stream: str) -> Iterable[bytes]:
    first = "-"
    while True:
        some: Any = client.xrange(stream, first, "+", count=AT_ONCE)
        for _, values in some:
            yield values.get(FIELD.encode(), b"")
        if len(some) < AT_ONCE:
            return
        first = f"({some[-1][0].decode()}"


def _began_in(month: Month, text: bytes) -> bool:
    """Whether it is a record of that month; what cannot be read might be one of any."""
    try:
        began = moment_of(int(orjson.loads(text)["started_ms"]))
    except (ValueError, TypeError, KeyError, OverflowError):
        return True
    return month.begins <= began < month.ends
