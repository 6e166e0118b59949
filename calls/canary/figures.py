"""How the calls of a canary went, from their records: two queries by an index of their own."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import (
    BigIntegerField,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Func,
    Q,
    QuerySet,
)
from django.db.models.functions import Cast, Coalesce, Least

from calls.canary.judging import Sample
from calls.routing.canary import Arm, mark
from cdr.models import Cdr
from cdr.record import Disposition

BIN_MS = 20
"""Waits are told apart by so much."""
_REFUSED_ALIKE = (Disposition.LIMITED.value,)
"""Refused by a limit, which is none of the trunks'."""


def samples(canary_id: int, since: datetime) -> tuple[Sample, Sample]:
    """The new and the old calls that started since then and have their record.

    Raises django.db.Error.
    """
    marks = {mark(canary_id, arm): arm for arm in Arm}
    records = Cdr.objects.filter(canary__in=list(marks), started_at__gte=since).exclude(
        disposition__in=_REFUSED_ALIKE
    )
    counted = records.values("canary").annotate(
        many=Count("id"), talked=Count("id", filter=Q(answered_at__isnull=False))
    )
    calls = {row["canary"]: (row["many"], row["talked"]) for row in counted}
    waits = _counts(_with_waits(records), "wait")
    sound = _counts(records.filter(callee_mos__isnull=False), "callee_mos")
    new, old = (
        Sample(
            *calls.get(name, (0, 0)),
            waits_ms={value * BIN_MS: count for value, count in waits[name].items()},
            mos=dict(sound[name]),
        )
        for name in (mark(canary_id, Arm.NEW), mark(canary_id, Arm.OLD))
    )
    return new, old


def _counts(records: QuerySet[Any], value: str) -> defaultdict[str, dict[float, int]]:
    found: defaultdict[str, dict[float, int]] = defaultdict(dict)
    rows = records.order_by().values_list("canary", value).annotate(many=Count("id"))
    for name, seen, many in rows:
        found[name][seen] = many
    return found


def _with_waits(records: QuerySet[Cdr]) -> QuerySet[Any]:
    """The calls of which anything was heard, with their ``wait`` in bins."""
    heard = Least(Coalesce("progress_at", "ringing_at"), Coalesce("ringing_at", "progress_at"))
    waited = ExpressionWrapper(heard - F("started_at"), output_field=DurationField())
    # A duration is an interval in PostgreSQL, and microseconds in SQLite.
    if connection.vendor == "postgresql":
        bins: Any = Func(
            waited,
            template=f"FLOOR(EXTRACT(EPOCH FROM %(expressions)s) * 1000 / {BIN_MS})",
            output_field=BigIntegerField(),
        )
    else:
        bins = Func(
            waited,
            template=f"(%(expressions)s) / {BIN_MS * 1000}",
            output_field=BigIntegerField(),
        )
    return records.filter(Q(progress_at__isnull=False) | Q(ringing_at__isnull=False)).annotate(
        wait=Cast(bins, BigIntegerField())
    )
