from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

class TextFilter(admin.SimpleListFilter):
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]: ...
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None: ...

class RangeDateTimeFilter(admin.FieldListFilter):
    parameter_name: str

class AutocompleteSelectFilter(admin.RelatedFieldListFilter): ...
class ChoicesDropdownFilter(admin.ChoicesFieldListFilter): ...
