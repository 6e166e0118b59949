"""Routes as CSV: what a file looks like, and what one line of it says.

A file is UTF-8 (with or without a BOM), parted by commas or semicolons, with any line ending. Its
first line names the columns, in any order. A column that is left out leaves what existing routes
have there, and gives new ones the usual value.

``targets`` are a route's trunks, parted by ``|``, each ``trunk:priority:weight:strip:add``: its
priority (1), weight (100), digits to strip (0) and prefix to add (none), which may be left out
from the end on or be empty. A ``|``, ``:`` or backslash in a trunk's name has a backslash before
it. Times are ISO 8601, such as ``2026-01-31T08:00:00Z``; without an offset they are UTC.

Cells that a spreadsheet would run as a formula are written with a ``'`` in front: see cdr/cells.py.
reading.py reads a file, diff.py says what it would change, writing.py writes one, and store.py
stands between all of them and the database.
"""

from dataclasses import dataclass
from datetime import datetime

from calls.models import Route

COLUMNS = (
    "prefix",
    "account",
    "action",
    "enabled",
    "note",
    "targets",
    "valid_from",
    "valid_until",
    "schedule",
)
REQUIRED = ("prefix", "account", "action", "targets")
"""Without these a line could not be told from another's, or would route nowhere."""

Key = tuple[str, str]
"""What a route is known by: its prefix, and its account's code ('' for all accounts)."""


@dataclass(frozen=True, slots=True, order=True)
class TargetSpec:
    """One trunk of a route."""

    priority: int
    trunk: str
    weight: int
    strip_digits: int = 0
    add_prefix: str = ""


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route as a line of the file says it. ``targets`` are in order of priority and trunk."""

    prefix: str
    account: str
    action: str = Route.Action.ROUTE.value
    enabled: bool = True
    note: str = ""
    targets: tuple[TargetSpec, ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    schedule: str = ""

    @property
    def key(self) -> Key:
        return self.prefix, self.account

    @property
    def name(self) -> str:
        """As people call it: ``49 of demo``, ``default of all``."""
        return f"{self.prefix or 'default'} of {self.account or 'all'}"
