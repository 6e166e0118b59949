"""Rows that are looked at in the admin, and changed by nobody."""

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """Looked at by those who may view it, changed by nobody."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
