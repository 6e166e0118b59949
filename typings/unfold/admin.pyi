from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

class ModelAdmin(admin.ModelAdmin[Any]):
    list_fullwidth: bool
    list_filter_submit: bool
    list_before_template: str | None
    list_after_template: str | None
    change_form_before_template: str | None
    change_form_after_template: str | None
    change_form_outer_before_template: str | None
    change_form_outer_after_template: str | None
    warn_unsaved_form: bool
    compressed_fields: bool
    actions_list: Sequence[Any]
    actions_row: Sequence[Any]
    actions_detail: Sequence[Any]
    actions_submit_line: Sequence[Any]
    def get_actions_submit_line(self, request: HttpRequest, object_id: Any = None) -> list[Any]: ...

class TabularInline(admin.TabularInline[Any, Any]):
    hide_title: bool
    tab: bool

class StackedInline(admin.StackedInline[Any, Any]):
    hide_title: bool
    tab: bool
