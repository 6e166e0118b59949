"""What is drained: begun by adding a row, ended by deleting it."""

from typing import Any

import redis
from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget

from calls.admin.configuration import ConfigurationAdmin
from calls.engine.draining import Kind, end_drain, left_of
from calls.models import Drain


class DrainForm(forms.ModelForm[Drain]):
    """Nodes are chosen among those that there are."""

    node = forms.ChoiceField(required=False, help_text="Of those in ARI_NODES.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [("", "—"), *((name, name) for name in settings.ARI_NODES)]
        if "node" in self.fields:
            self.fields["node"] = forms.ChoiceField(
                choices=names, required=False, widget=UnfoldAdminSelectWidget()
            )


class DrainAdmin(ConfigurationAdmin):
    """Nothing of a drain is changed: it is begun and ended."""

    form = DrainForm
    empty_title = "Nothing is drained."
    empty_help = (
        "What is drained takes no new calls, and those that are up come to their end: a trunk is "
        "skipped; on a node, or the whole switch, callers hear 503, so that whoever sent them "
        "tries another node."
    )
    list_display = ("shown", "left", "why", "by", "since")
    list_display_links = None
    fields = ("kind", "node", "trunk", "why")
    autocomplete_fields = ("trunk",)
    actions = ("end",)

    def has_change_permission(self, request: HttpRequest, obj: Drain | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Drain, form: Any, change: bool) -> None:
        obj.by = request.user.get_username()
        super().save_model(request, obj, form, change)

    @display(description="what", ordering="kind")
    def shown(self, drain: Drain) -> str:
        return str(drain)

    @display(description="calls left")
    def left(self, drain: Drain) -> str:
        try:
            left = left_of([drain])[drain.pk]
        except redis.RedisError:
            return "Redis is away"
        return f"{left:,}" if left else "empty"

    @action(description="Take new calls again", permissions=["delete"])
    def end(self, request: HttpRequest, queryset: QuerySet[Drain]) -> None:
        names = []
        for drain in queryset:
            names.append(str(drain))
            end_drain(Kind(drain.kind), drain.name)
        messages.success(request, f"{', '.join(names)}: new calls are taken again.")
