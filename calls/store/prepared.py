"""One statement, planned once a connection instead of once a call.

PostgreSQL takes longer to plan the query for a route than to run it (1.2 and 0.25 ms), so it is
prepared with its first use. Elsewhere, and behind a pooler that hands every transaction another
connection (Django's DISABLE_SERVER_SIDE_CURSORS says so), it is sent as it is.
"""

import re
import threading
from collections.abc import Sequence
from typing import Any

from django.db import ProgrammingError, connection
from django.db.backends.utils import CursorWrapper

_DUPLICATE = "42P05"
"""duplicate_prepared_statement: its PREPARE was done, but the answer was lost."""

_of_thread = threading.local()


def execute(
    cursor: CursorWrapper, name: str, sql: str, types: Sequence[str], parameters: Sequence[Any]
) -> None:
    """Execute *sql*, which has one ``%s`` for each parameter, in one round trip.

    ``name`` stands for this SQL alone; ``types`` are the parameters' types in PostgreSQL. Raises
    what ``cursor.execute`` raises.
    """
    pooled = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS", False)
    if connection.vendor != "postgresql" or pooled:
        cursor.execute(sql, parameters)
        return
    known = _known_to(connection.connection)
    run = f"EXECUTE {name}({', '.join(['%s'] * len(types))})"
    if name in known:
        cursor.execute(run, parameters)
        return
    numbers = iter(range(1, len(types) + 1))
    numbered = re.sub("%s", lambda _: f"${next(numbers)}", sql)
    try:
        cursor.execute(f"PREPARE {name}({', '.join(types)}) AS {numbered}; {run}", parameters)
    except ProgrammingError as error:
        if getattr(error.__cause__, "pgcode", None) != _DUPLICATE:
            raise
        cursor.execute(run, parameters)
    known.add(name)


def _known_to(raw: Any) -> set[str]:
    """The names that were prepared on this thread's connection, which may be a new one."""
    if getattr(_of_thread, "raw", None) is not raw:
        _of_thread.raw, _of_thread.names = raw, set()
    names: set[str] = _of_thread.names
    return names
