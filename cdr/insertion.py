"""Rows of the records worker's tables, many by one statement.

Django's `bulk_create` prepares every field of every row on its own and tells nothing of what a
conflict left out, so that a batch of records asked for its primary keys twice besides. Here the
values go as they stand in the rows, and the statement itself tells which of them are new
(docs/decisions/0034-what-a-call-costs.md has what that saves).

For models whose fields hold what the database driver takes: texts, numbers, moments, days, bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from django.db import connection, models

M = TypeVar("M", bound=models.Model)

MOST_ROWS = 500
"""Of one statement; SQLite takes fewer, by how many values a statement may have there."""


class _Form(NamedTuple):
    """How rows of a model are written."""

    columns: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    times: tuple[tuple[int, str], ...]
    """Which of the values SQLite takes as texts, having no type for them; and what makes these."""


def insert(rows: Sequence[M], by: str = "id", unique: Sequence[str] = ()) -> dict[Any, int]:
    """Write these unsaved rows of one model, but those that are there already.

    There is one with the same values in the fields ``unique``, which have a unique index; without
    them one that any unique index refuses. Who may lose no row names them: with a sequence that is
    behind its table, as after a replication that does not copy sequences, a new row has the primary
    key of another, and is refused (IntegrityError) rather than taken for known.

    Returns the primary keys of those that are new, by their value in the field ``by``. Belongs into
    a transaction. Raises ``django.db.Error``, or what Python's SQLite raises for a value that it
    cannot hold.
    """
    new: dict[Any, int] = {}
    for some in _parts(rows):
        new |= _insert(some, by, unique)
    return new


def _parts(rows: Sequence[models.Model]) -> Iterator[Sequence[models.Model]]:
    if not rows:
        return
    most_values = connection.features.max_query_params
    most = MOST_ROWS
    if most_values is not None:
        most = max(1, min(most, most_values // len(_form(type(rows[0])).columns)))
    for start in range(0, len(rows), most):
        yield rows[start : start + most]


def _insert(rows: Sequence[models.Model], by: str, unique: Sequence[str]) -> dict[Any, int]:
    model = type(rows[0])
    form, meta, quoted = _form(model), model._meta, connection.ops.quote_name
    known_by = ", ".join(quoted(str(meta.get_field(name).column)) for name in unique)  # type: ignore[union-attr]
    one = f"({', '.join(['%s'] * len(form.columns))})"
    # The names are those of our own models, the values go beside the text.
    text = (
        f"INSERT INTO {quoted(meta.db_table)} ({', '.join(map(quoted, form.columns))}) "  # noqa: S608 - see above
        f"VALUES {', '.join([one] * len(rows))} "
        f"ON CONFLICT {f'({known_by}) ' * bool(known_by)}DO NOTHING"
    )
    values = [value for row in rows for value in _values(form, row)]
    with connection.cursor() as cursor:
        if not connection.features.can_return_rows_from_bulk_insert:
            # SQLite before 3.35.
            known = _keys(rows, by)
            cursor.execute(text, values)
            return {value: key for value, key in _keys(rows, by).items() if value not in known}
        told = (meta.get_field(by), meta.pk)
        names = (quoted(str(field.column)) for field in told)  # type: ignore[union-attr]
        cursor.execute(f"{text} RETURNING {', '.join(names)}", values)
        return dict(cursor.fetchall())


def _keys(rows: Sequence[models.Model], by: str) -> dict[Any, int]:
    """The primary keys of what the database has of these, by their value in that field."""
    found = type(rows[0])._default_manager.filter(
        **{f"{by}__in": [getattr(row, by) for row in rows]}
    )
    return dict(found.values_list(by, "pk"))


def _values(form: _Form, row: models.Model) -> Sequence[Any]:
    values = form.values(row)
    if connection.vendor == "postgresql":
        return values
    texts = list(values)
    for place, adapt in form.times:
        texts[place] = getattr(connection.ops, adapt)(texts[place])
    return texts


@cache
def _form(model: type[models.Model]) -> _Form:
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    for field in fields:
        made_on_saving = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
        made_there = field.generated or (field.has_db_default() and not field.has_default())
        if made_there or made_on_saving:
            raise TypeError(f"{model.__name__}.{field.name} has its value from where it is saved.")
    times = tuple(
        (place, _TIMES[field.get_internal_type()])
        for place, field in enumerate(fields)
        if field.get_internal_type() in _TIMES
    )
    columns = tuple(str(field.column) for field in fields)
    return _Form(columns, attrgetter(*(field.attname for field in fields)), times)


_TIMES = {
    "DateTimeField": "adapt_datetimefield_value",
    "DateField": "adapt_datefield_value",
}
