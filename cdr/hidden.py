"""Columns that no page of the admin shows, and so no address may be filtered by.

Django lets an address filter a list by every column of its model: whoever sees how many rows are
left would find out, sign by sign, what the page leaves out.
"""

from typing import Any

from django.http import HttpRequest


class HidesColumns:
    """A mixin for a ModelAdmin, before it; ``hidden`` names the columns."""

    hidden: tuple[str, ...] = ()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        if lookup.partition("__")[0] in self.hidden:
            return False
        return bool(super().lookup_allowed(lookup, value, request))  # type: ignore[misc]
