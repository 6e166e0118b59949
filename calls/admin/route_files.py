"""Import and export of routes in the admin: upload, look at what would change, confirm.

Between preview and confirmation the file is carried by the page itself, compressed and signed for
this user: nothing lies about on a server that a later request might not reach.
"""

from itertools import chain, islice
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldBooleanSwitchWidget

from calls.admin.configuration import may_see
from calls.errors import CallError
from calls.models import Route
from calls.route_files.diff import Diff
from calls.route_files.reading import MOST_ERRORS, Deck, decode
from calls.route_files.spec import COLUMNS
from calls.route_files.store import ImportRefused, carry_out, draft, export, read
from calls.store import config_version

MAX_BYTES = 4_000_000
"""A larger file is for import_routes: a web request that writes so much runs into its timeout."""
MAX_TOKEN = 2_000_000
"""Characters of a carried file; Django takes forms of up to 2.5 MB."""
MAX_AGE_S = 3_600
SHOWN_CHANGES = 50
SALT = "calls.route_csv_admin"
LINES_A_CHUNK = 500
BOM = "\ufeff"
"""Tells spreadsheets that the file is UTF-8."""


class UploadForm(forms.Form):
    """The file, and what may be done with it."""

    file = forms.FileField(
        label="CSV file",
        widget=UnfoldAdminFileFieldWidget,
        help_text=f"Columns {', '.join(COLUMNS)}. "
        "Targets are trunk:priority:weight:strip:add, parted by |.",
    )
    partial = forms.BooleanField(
        label="Import the good lines though others are bad",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )
    delete_missing = forms.BooleanField(
        label="Delete the routes that the file does not have",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )

    def __init__(self, *args: Any, may_delete: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = ""
        if not may_delete:
            del self.fields["delete_missing"]

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        self.name = file.name
        if file.size > MAX_BYTES:
            raise forms.ValidationError(
                f"The file has {file.size:,} bytes, and {MAX_BYTES:,} are the most that can be "
                "imported here. Import it with manage.py import_routes, which takes any length."
            )
        try:
            return decode(file.read())
        except CallError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("partial") and cleaned.get("delete_missing"):
            raise forms.ValidationError(
                "Choose one of both: with bad lines left out, their routes would be deleted."
            )
        return cleaned


class RouteCsvMixin(ModelAdmin):
    """For the ModelAdmin of routes."""

    actions_list = ("import_csv", "export_csv")
    actions = ("export_selected",)

    def has_import_permission(self, request: HttpRequest) -> bool:
        """A file writes routes and their trunks, and its preview shows both as they are."""
        may_write = request.user.has_perms(
            [f"calls.{verb}_routetarget" for verb in ("add", "change", "delete")]
        )
        return (
            may_write
            and may_see(request, "account", "trunk")
            and self.has_add_permission(request)
            and self.has_change_permission(request)
        )

    def has_export_permission(self, request: HttpRequest) -> bool:
        return may_see(request, "route", "routetarget", "trunk", "account")

    @action(description="Export", url_path="export", icon="download", permissions=["export"])
    def export_csv(self, request: HttpRequest) -> StreamingHttpResponse:
        return _download(Route.objects.all())

    @admin.action(description="Export selected routes as CSV", permissions=["export"])
    def export_selected(
        self, request: HttpRequest, queryset: QuerySet[Route]
    ) -> StreamingHttpResponse:
        return _download(queryset)

    @action(description="Import", url_path="import", icon="upload", permissions=["import"])
    def import_csv(self, request: HttpRequest) -> HttpResponse:
        may_delete = self.has_delete_permission(request)
        if request.method != "POST":
            return self._page(request, UploadForm(may_delete=may_delete))
        if "carried" in request.POST:
            return self._confirmed(request, may_delete)
        form = UploadForm(request.POST, request.FILES, may_delete=may_delete)
        if not form.is_valid():
            return self._page(request, form)
        return self._preview(
            request,
            form,
            {
                "text": form.cleaned_data["file"],
                "name": form.name,
                "partial": form.cleaned_data["partial"],
                "delete_missing": form.cleaned_data.get("delete_missing", False),
                "user": request.user.pk,
            },
        )

    def _preview(
        self, request: HttpRequest, form: UploadForm, upload: dict[str, Any]
    ) -> HttpResponse:
        try:
            deck = read(upload["text"], most_errors=MOST_ERRORS)
            diff = draft(deck, delete_missing=upload["delete_missing"]).diff
        except CallError as error:
            form.add_error(None, str(error))
            return self._page(request, form)
        allowed = bool(diff) and ((deck.whole and upload["partial"]) or not deck.errors)
        carried = ""
        if allowed:
            signed = upload | {"digest": diff.digest()}
            carried = signing.dumps(signed, salt=SALT, compress=True)
        if len(carried) > MAX_TOKEN:
            form.add_error(
                None,
                "The file is too long to be imported here. Import it with manage.py "
                "import_routes, which takes any length.",
            )
            return self._page(request, form)
        preview = {
            "name": upload["name"],
            "diff": diff,
            "totals": _totals(diff, deck),
            "lines": [(line[0], line[2:]) for line in diff.lines(SHOWN_CHANGES)],
            "more_lines": _more(
                len(diff.added) + len(diff.changed) + len(diff.removed), SHOWN_CHANGES
            ),
            "errors": deck.errors,
            "whole": deck.whole,
            "carried": carried,
        }
        return self._page(request, form, preview)

    def _confirmed(self, request: HttpRequest, may_delete: bool) -> HttpResponse:
        form = UploadForm(may_delete=may_delete)
        try:
            upload = signing.loads(request.POST["carried"], salt=SALT, max_age=MAX_AGE_S)
        except signing.BadSignature:
            messages.error(
                request,
                "This preview is older than an hour, or not one made here. Nothing was imported; "
                "upload the file again.",
            )
            return self._page(request, form)
        if upload["user"] != request.user.pk or (upload["delete_missing"] and not may_delete):
            raise PermissionDenied
        try:
            with config_version.collect_failures() as failures:
                done = carry_out(
                    read(upload["text"], most_errors=MOST_ERRORS),
                    delete_missing=upload["delete_missing"],
                    expected=upload["digest"],
                )
        except ImportRefused as error:
            messages.warning(request, str(error))
            again = UploadForm(
                may_delete=may_delete,
                initial={name: upload[name] for name in ("partial", "delete_missing")},
            )
            again.cleaned_data = {}
            return self._preview(request, again, upload)
        LogEntry.objects.create(
            user_id=upload["user"],
            content_type_id=ContentType.objects.get_for_model(Route).pk,
            object_repr=f"routes of {upload['name']}"[:200],
            action_flag=CHANGE,
            change_message=f"Imported: {done}.",
        )
        messages.success(request, f"Imported {upload['name']}: {done}.")
        for sentence in failures:
            messages.warning(request, sentence)
        return HttpResponseRedirect(reverse("admin:calls_route_changelist"))

    def _page(
        self, request: HttpRequest, form: UploadForm, preview: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Import routes",
            "form": form,
            "preview": preview,
        }
        return TemplateResponse(request, "calls/route_import.html", context)


def _download(routes: QuerySet[Route]) -> StreamingHttpResponse:
    lines = chain([BOM], export(routes))
    chunks = iter(lambda: "".join(islice(lines, LINES_A_CHUNK)), "")
    name = f"routes-{timezone.now():%Y-%m-%d}.csv"
    return StreamingHttpResponse(
        chunks,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _totals(diff: Diff, deck: Deck) -> list[tuple[str, str]]:
    counts = (
        (len(diff.added), "added", "success"),
        (len(diff.changed), "changed", "warning"),
        (len(diff.removed), "removed", "danger"),
        (diff.unchanged, "unchanged", ""),
        (len(deck.errors), "bad lines" if len(deck.errors) != 1 else "bad line", "danger"),
    )
    return [(f"{number:,} {word}", colour) for number, word, colour in counts if number]


def _more(number: int, shown: int) -> str:
    return f"{number - shown:,}" if number > shown else ""
