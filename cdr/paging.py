"""Pages over a table too long to count."""

from typing import Any

from django.core.paginator import Paginator
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils.functional import cached_property

from cdr.patience import limited, was_too_slow

# Rows beyond which nobody pages, and counting further would only take time.
CAP = 10_000
# A filter that matches few rows of many makes even a capped count read them all.
COUNT_TIMEOUT_MS = 1_000


class Count(int):
    """A number of rows; above :data:`CAP` it reads "10,000+"."""

    known: int | None = None
    """Of a list that is too long to be counted: the rows that were, if any."""

    @classmethod
    def more_than(cls, known: int) -> "Count":
        """As many as are paged, of which so many were counted before there was no more time."""
        count = cls(CAP + 1)
        count.known = known
        return count

    def __str__(self) -> str:
        if self.known is not None and self.known <= CAP:
            return f"{self.known:,}+"
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
        try:
            with limited(rows.db, COUNT_TIMEOUT_MS):
                return Count(capped.count())
        except OperationalError as error:
            if not was_too_slow(error):
                raise
            return Count(CAP + 1)

    @cached_property
    def num_pages(self) -> int:
        if self.count == 0 and not self.allow_empty_first_page:
            return 0
        rows = max(1, min(self.count, CAP) - self.orphans)
        return -(-rows // self.per_page)
