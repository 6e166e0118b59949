"""Entries of the audit log for what is written in bulk, which sends no signals."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import uuid4

import orjson
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models, router
from django.utils import timezone

from calls.models import Account
from calls.models.changes import Change, actor
from cdr.moments import ms_of

BATCH = 1_000
"""Rows in one statement; SQLite takes 32,766 parameters, of which an entry needs 14."""
_COLUMNS = (
    "content_type_id, actor_id, remote_addr, who, via, cid, additional_data, timestamp, "
    "changes_text, object_pk, object_id, object_repr, action, changes"
)
_ROW = f"({', '.join(['%s'] * (_COLUMNS.count(',') + 1))})"
_PUT = f"INSERT INTO calls_change ({_COLUMNS}) VALUES {{rows}}"  # noqa: S608 - names of ours
LONGEST_CALL_S = 2 * 86_400
"""A call is up for a day at most, by what an account's field and MAX_CALL_S may be."""
TOLD_MS = 5_000
Values = dict[str, list[Any]]
"""Field to [value before, value after]."""


@dataclass(frozen=True, slots=True)
class Written:
    """A row that was written: its key, its name for people, what was done, and the values."""

    pk: int
    name: str
    action: int
    values: Values


class BulkAudit:
    """Notes one bulk write; all its entries share a correlation id.

    By plain SQL: a hundred thousand objects of Django's cost more than the import they are about.
    """

    def __init__(self, model: type[models.Model], kind: str) -> None:
        by = actor()
        self._same = (
            ContentType.objects.get_for_model(model).pk,
            by.user.pk if by.user else None,
            by.address,
            by.who,
            by.via,
            uuid4().hex,
            orjson.dumps({"kind": kind}).decode(),
            timezone.now(),
            "",
        )

    def note(self, rows: Iterable[Written]) -> None:
        """Write an entry for each row, in the caller's transaction."""
        iterator = iter(rows)
        with connections[router.db_for_write(Change)].cursor() as cursor:
            while batch := list(islice(iterator, BATCH)):
                values = [value for row in batch for value in self._values(row)]
                cursor.execute(_PUT.format(rows=", ".join([_ROW] * len(batch))), values)

    def _values(self, row: Written) -> tuple[Any, ...]:
        changes = orjson.dumps(row.values).decode()
        return (*self._same, str(row.pk), row.pk, row.name, row.action, changes)


def former_codes(accounts: Iterable[Account]) -> dict[str, int]:
    """The codes that these accounts have borne while a call that is up now may have begun, each
    with until when, in ms since the epoch.

    A renaming reaches the workers with the next turn of theirs, so a little later counts too,
    unless the code is another account's now.
    """
    keys = [account.pk for account in accounts]
    since = timezone.now() - timedelta(seconds=LONGEST_CALL_S)
    renamed = Change.objects.filter(
        content_type=ContentType.objects.get_for_model(Account),
        object_id__in=keys,
        action=Change.Action.UPDATE,
        timestamp__gte=since,
    )
    found: dict[str, int] = {}
    for change in renamed.order_by("timestamp", "id"):
        old, _ = (change.changes or {}).get("code", ("", ""))
        if old:
            found[str(old)] = ms_of(change.timestamp)
    taken = set(Account.objects.filter(code__in=found).values_list("code", flat=True))
    return {code: at_ms + (code not in taken) * TOLD_MS for code, at_ms in found.items()}


def differing(before: dict[str, Any], after: dict[str, Any]) -> Values:
    """The values that differ; a row that is new or gone has None on its other side."""
    return {
        name: [before.get(name), after.get(name)]
        for name in after or before
        if before.get(name) != after.get(name)
    }
