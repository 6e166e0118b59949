"""The audit log in the admin: who changed what, to be searched, and reverted where that is safe."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import DateFieldListFilter, ShowFacets
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin.dropdown_filters import RelatedDropdownFilter
from unfold.decorators import action, display

from calls.errors import CallError
from calls.models.changes import Change
from calls.route_files.store import AUDIT_KIND
from calls.route_files.store import revert as revert_route
from calls.text import printable
from cdr.pages import page
from cdr.paging import CappedPaginator
from cdr.read_only import ReadOnly

SHOWN = 3
"""Values that the list shows of one change."""
LONGEST = 60
"""Characters that the list shows of one value."""
NOTHING = (None, "", "None")
REVERTIBLE = ("account", "block", "limit", "route", "routetarget", "trunk")
"""Models whose rows stand by themselves; a user's rights are given back by hand, with thought."""


class NotReverted(CallError):
    """A change that cannot be taken back; the text is a sentence that says why."""


class ChangeAdmin(ReadOnly, ModelAdmin):
    """To be read by those who may see what was changed, and written by nobody."""

    empty_title = "Nothing has been changed yet."
    empty_help = "Whatever is added, changed or deleted in the admin or by a command stands here."
    list_display = ("timestamp", "who", "via", "done", "row", "values", "remote_addr")
    list_display_links = ("timestamp",)
    list_filter = (
        ("timestamp", DateFieldListFilter),
        "action",
        ("content_type", RelatedDropdownFilter),
    )
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    list_select_related = ("content_type",)
    sortable_by = ("timestamp",)
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = CappedPaginator
    search_fields = ("who__exact", "object_repr__startswith", "cid__exact")
    search_help_text = "A user, the beginning of a row's name, or the correlation id of an import."
    fields = (
        "timestamp",
        "who",
        "via",
        "remote_addr",
        "what",
        "row",
        "all_values",
        "cid",
    )
    readonly_fields = fields
    actions_detail = ("revert",)
    actions = None

    def has_revert_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        change = Change.objects.filter(pk=object_id).first() if _is_key(object_id) else None
        return (
            change is not None
            and self.has_view_permission(request)
            and change.action == Change.Action.UPDATE
            and change.content_type.app_label == "calls"
            and change.content_type.model in REVERTIBLE
            and request.user.has_perms(_needed(change))
        )

    @action(description="Revert this change", icon="undo", permissions=["revert"])
    def revert(self, request: HttpRequest, object_id: str) -> HttpResponse:
        change = Change.objects.get(pk=object_id)
        if request.method != "POST":
            context = {"change": change, "lines": _lines(change)}
            return page(request, "calls/revert.html", "Revert this change?", context)
        try:
            _revert(change)
        except (CallError, ValidationError, IntegrityError) as error:
            self.message_user(request, f"Not reverted: {_sentence(error)}", messages.ERROR)
        else:
            self.message_user(request, f"{change.object_repr} is again as before this change.")
        return HttpResponseRedirect(reverse("admin:calls_change_changelist"))

    @display(description="what", label={"create": "success", "delete": "danger", "update": "info"})
    def done(self, change: Change) -> tuple[str, str]:
        word = change.get_action_display()
        return word, f"{word} {change.content_type.name}"

    @display(description="what")
    def what(self, change: Change) -> str:
        return self.done(change)[1]

    @display(description="row")
    def row(self, change: Change) -> str:
        return printable(change.object_repr)

    @display(description="values")
    def values(self, change: Change) -> str:
        lines = _lines(change)
        more = f", and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        shown = (f"{name}: {_cut(old)} → {_cut(new)}" for name, old, new in lines[:SHOWN])
        return "; ".join(shown) + more

    @display(description="values")
    def all_values(self, change: Change) -> SafeString:
        rows = format_html_join("", "<li>{}: {} → {}</li>", _lines(change))
        return format_html('<ul class="font-mono leading-relaxed">{}</ul>', rows)


def _lines(change: Change) -> list[tuple[str, str, str]]:
    """Each changed value: its name, before and after; in the order of the row's own fields."""
    model = change.content_type.model_class()
    fields = model._meta.get_fields() if model else []
    own = [field.name for field in fields if field.concrete and not field.auto_created]
    # What refers to the row is noted as well, and says nothing of it.
    others = {field.name for field in fields if field.auto_created and not field.concrete}
    places = {name: place for place, name in enumerate(own)}
    changes = [each for each in (change.changes or {}).items() if each[0] not in others]
    changes.sort(key=lambda each: (places.get(each[0], len(places)), each[0]))
    lines = []
    for name, value in changes:
        if isinstance(value, dict):
            # Members of a group and the like: what was added or taken away.
            named = ", ".join(map(str, value.get("objects", ())))
            lines.append((name, str(value.get("operation", "")), named))
        elif value[0] not in NOTHING or value[1] not in NOTHING:
            lines.append((name, _shown(value[0]), _shown(value[1])))
    return [(name, printable(old), printable(new)) for name, old, new in lines]


def _shown(value: Any) -> str:
    return "nothing" if value in NOTHING else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _revert(change: Change) -> None:
    """Put the row's values back to what they were. Raises NotReverted, ValidationError."""
    if (change.additional_data or {}).get("kind") == AUDIT_KIND:
        revert_route(change)
        return
    model = change.content_type.model_class()
    with transaction.atomic():
        row = model._default_manager.select_for_update().filter(pk=change.object_id).first()
        if row is None:
            raise NotReverted("the row is gone.")
        fields = [model._meta.get_field(name) for name in change.changes]
        for field in fields:
            old, new = change.changes[field.name]
            if field.value_from_object(row) != _value(field, new):
                raise NotReverted(
                    f"{field.verbose_name} has been changed since; only the last change is "
                    "reverted."
                )
            setattr(row, field.attname, _value(field, old))
        row.full_clean()
        row.save()


def _value(field: "models.Field[Any, Any]", kept: Any) -> Any:
    """A value as the field has it: moments are kept as text in UTC, without saying so."""
    if isinstance(field, models.DateTimeField) and kept is not None:
        return field.to_python(f"{kept}+00:00" if "+" not in str(kept) else kept)
    if isinstance(field, models.ForeignKey):
        return field.target_field.to_python(kept)
    return field.to_python(kept)


def _needed(change: Change) -> list[str]:
    """The permissions with which the user could make the same change by hand."""
    kind: ContentType = change.content_type
    needed = [f"calls.change_{kind.model}"]
    if kind.model in ("route", "routetarget"):
        needed += ["calls.view_trunk", "calls.view_account"]
        needed += [f"calls.{verb}_routetarget" for verb in ("add", "change", "delete")]
    return needed


def _is_key(object_id: Any) -> bool:
    text = str(object_id or "")
    return text.isascii() and text.isdecimal() and len(text) < 19


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return " ".join(error.messages)
    return str(error).partition("\n")[0]
