"""Pages over a table too long to count."""

from typing import Any

from django.core.paginator import Paginator
from django.db import OperationalError, connections, transaction
from django.db.models import QuerySet
from django.utils.functional import cached_property

# Rows beyond which nobody pages, and counting further would only take time.
CAP = 10_000
# A filter that matches few rows of many makes even a capped count read them all.
COUNT_TIMEOUT_MS = 2_000
# PostgreSQL's SQLSTATE for a statement that ran into its timeout.
_QUERY_CANCELED = "57014"
_SET_TIMEOUT = "SELECT set_config('statement_timeout', %s, true)"


class Count(int):
    """A number of rows; above :data:`CAP` it reads "10,000+"."""

    def __str__(self) -> str:
        return f"{CAP:,}+" if self > CAP else f"{int(self):,}"


class CappedPaginator(Paginator[Any]):
    """Counts up to :data:`CAP` rows; pages end there, and a filter leads further back.

    On PostgreSQL the count is also given up after :data:`COUNT_TIMEOUT_MS`, and the list taken
    for a long one.
    """

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        if not isinstance(rows, QuerySet):
            return Count(len(rows))
        capped = rows.order_by()[: CAP + 1]
        connection = connections[rows.db]
        if connection.vendor != "postgresql":
            return Count(capped.count())
        try:
            with transaction.atomic(using=rows.db), connection.cursor() as cursor:
                # Not SET LOCAL: it would outlast this block where a transaction is already open.
                cursor.execute("SELECT current_setting('statement_timeout')")
                (before,) = cursor.fetchone()
                cursor.execute(
                    "SELECT set_config('statement_timeout', %s, true)", [str(COUNT_TIMEOUT_MS)]
                )
                number = capped.count()
                cursor.execute(_SET_TIMEOUT, [before])
                return Count(number)
        except OperationalError as error:
            if getattr(error.__cause__, "pgcode", None) != _QUERY_CANCELED:
                raise
            return Count(CAP + 1)

    @cached_property
    def num_pages(self) -> int:
        if self.count == 0 and not self.allow_empty_first_page:
            return 0
        rows = max(1, min(self.count, CAP) - self.orphans)
        return -(-rows // self.per_page)
