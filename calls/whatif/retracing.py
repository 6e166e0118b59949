"""Kept traces through the code as it is now: which calls would it treat otherwise?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model

from calls.errors import CallError
from calls.machine.journal import read
from calls.story.compare import Difference, of_commands, of_fields
from calls.story.retrace import Course, retrace
from cdr.mapping import attempt_row, cdr_row
from cdr.models import CallTrace, Cdr
from cdr.packing import unpack
from cdr.record import CallRecord

BATCH = 500
"""Traces, and the records beside them, that are read with one query each."""


@dataclass(frozen=True, slots=True)
class Retraced:
    """A kept call, and how it would differ. ``has_record``: whether its record could be compared
    too, or has not been written or kept."""

    call_id: str
    started_at: datetime
    differences: tuple[Difference, ...]
    has_record: bool


def retrace_all(
    since: datetime | None = None, node: str | None = None, most: int | None = None
) -> Iterator[Retraced]:
    """Every kept trace through the code as it is now, the newest first."""
    last: tuple[datetime, int] | None = None
    left = most
    while left is None or left > 0:
        batch = list(_after(last, since, node)[: BATCH if left is None else min(BATCH, left)])
        if not batch:
            return
        # Of calls that are being written down now, the record may come after its trace.
        records = Cdr.objects.prefetch_related("attempts").in_bulk(
            [trace.call_id for trace in batch], field_name="call_id"
        )
        for trace in batch:
            yield _retraced(trace, records.get(trace.call_id))
        last = (batch[-1].started_at, batch[-1].pk)
        left = None if left is None else left - len(batch)


def course_of(trace: CallTrace) -> Course:
    """The trace decided again. Raises CallError when it cannot be read at all."""
    try:
        return retrace(trace.call_id, read(unpack(bytes(trace.journal))))
    except ValueError as error:
        raise CallError(f"The trace of call {trace.call_id} cannot be read: {error}") from error


def _after(last: tuple[datetime, int] | None, since: datetime | None, node: str | None) -> Any:
    traces = CallTrace.objects.order_by("-started_at", "-pk").defer("sip")
    if since is not None:
        traces = traces.filter(started_at__gte=since)
    if node is not None:
        traces = traces.filter(node=node)
    if last is not None:
        started_at, key = last
        traces = traces.filter(started_at__lte=started_at).exclude(
            started_at=started_at, pk__gte=key
        )
    return traces


def _retraced(trace: CallTrace, row: Cdr | None) -> Retraced:
    try:
        course = course_of(trace)
        differences = of_commands(course)
        record = course.record
    except Exception as error:  # noqa: BLE001 - code that fails on a kept call is what is looked for
        differences = (Difference("the code", "worked", f"{type(error).__name__}: {error}"),)
        return Retraced(trace.call_id, trace.started_at, differences, row is not None)
    if row is not None and record is not None:
        differences += _of_record(row, record)
    return Retraced(trace.call_id, trace.started_at, differences, row is not None)


def _of_record(row: Cdr, record: CallRecord) -> tuple[Difference, ...]:
    found = of_fields(_fields(row), _fields(cdr_row(record)))
    then = list(row.attempts.all())
    now = [attempt_row(row.pk, attempt) for attempt in record.attempts]
    if len(then) != len(now):
        found += (Difference("attempts", str(len(then)), str(len(now))),)
    for old, new in zip(then, now, strict=False):
        found += tuple(
            Difference(f"attempt {old.number}: {each.what}", each.then, each.now)
            for each in of_fields(_fields(old), _fields(new))
        )
    return found


def _fields(row: Model) -> dict[str, Any]:
    return {
        field.name: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.primary_key
    }
