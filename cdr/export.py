"""Call records as CSV and as Parquet, streamed: the memory it takes does not grow with the rows."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.db import models
from django.db.models import QuerySet

from cdr.cells import guarded
from cdr.models import Cdr

FETCHED_AT_ONCE = 5_000
"""Rows in one fetch from the database's cursor, and in a row group of Parquet's."""
LINES_A_CHUNK = 500

FIELDS = tuple(field.name for field in Cdr._meta.concrete_fields if field.name != "id")
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """A form in which records leave."""

    name: str
    content_type: str
    chunks: Callable[[Iterable[Row]], Iterator[bytes]]


def rows(queryset: "QuerySet[Cdr]") -> Iterator[Row]:
    """The records' values in the order of `FIELDS`, from a cursor of the database's."""
    return queryset.values_list(*FIELDS).iterator(chunk_size=FETCHED_AT_ONCE)


def as_json(record: Cdr) -> dict[str, Any]:
    """One record with its attempts, times in UTC."""
    attempts = [
        {
            field.name: _plain(getattr(attempt, field.name))
            for field in attempt._meta.concrete_fields
            if field.name not in ("id", "cdr")
        }
        for attempt in record.attempts.all()
    ]
    return {name: _plain(getattr(record, name)) for name in FIELDS} | {"attempts": attempts}


def _csv(records: Iterable[Row]) -> Iterator[bytes]:
    # The mark tells spreadsheets that the file is UTF-8.
    yield "\ufeff".encode() + (",".join(FIELDS) + "\r\n").encode()
    left = iter(records)
    while some := list(islice(left, LINES_A_CHUNK)):
        lines = io.StringIO()
        csv.writer(lines).writerows([_cell(value) for value in row] for row in some)
        yield lines.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return guarded(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def _parquet(records: Iterable[Row]) -> Iterator[bytes]:
    return parquet(Cdr, FIELDS, records)


def parquet(
    model: type[models.Model], names: Sequence[str], records: Iterable[Row]
) -> Iterator[bytes]:
    """Rows of these columns of a model (``cdr_id``, not ``cdr``) as a Parquet file, in pieces."""
    columns_of = {field.attname: field for field in model._meta.concrete_fields}
    schema = pa.schema([(name, _arrow_type(columns_of[name])) for name in names])
    sink = _Drain()
    left = iter(records)
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        while some := list(islice(left, FETCHED_AT_ONCE)):
            columns = zip(*some, strict=True)
            arrays = [
                pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            yield sink.drained()
    yield sink.drained()


def _arrow_type(field: "models.Field[Any, Any]") -> pa.DataType:
    match field:
        case models.DateTimeField():
            return pa.timestamp("us", tz="UTC")
        case models.FloatField():
            return pa.float64()
        case models.IntegerField() | models.ForeignKey():
            return pa.int64()
    return pa.string()


class _Drain(io.RawIOBase):
    """A file that is only written, and gives what was written since it was last asked."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:
        text = bytes(data)
        self._waiting.append(text)
        self._written += len(text)
        return len(text)

    def drained(self) -> bytes:
        waiting, self._waiting = self._waiting, []
        return b"".join(waiting)


def json_text(record: Cdr) -> str:
    """`as_json` as text."""
    return json.dumps(as_json(record), indent=2, ensure_ascii=False)


FORMATS = {
    "csv": Format("csv", "text/csv; charset=utf-8", _csv),
    "parquet": Format("parquet", "application/vnd.apache.parquet", _parquet),
}
