"""What the list of call records offers: columns to choose, saved views, totals, exports, JSON."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_POST, require_safe
from unfold.admin import ModelAdmin

from cdr.display import Form, moment
from cdr.export import FORMATS, json_text, rows
from cdr.exporter import file_of
from cdr.models import Cdr, CdrExport, SavedView
from cdr.pages import asks_for_fragment, fragment, page, permitted
from cdr.paging import CAP
from cdr.selection import OF_THE_PAGE, Unselectable, selected
from cdr.totals import TotalsPaginator, in_words, long_by_the_hour

COLUMNS = {
    "started": "started",
    "call_id": "call id",
    "node": "node",
    "account": "account",
    "caller": "caller",
    "callee": "callee",
    "prefix": "prefix",
    "route": "route",
    "trunk": "trunk",
    "result": "disposition",
    "talk": "talk",
    "billsec": "billed seconds",
    "pdd": "PDD",
    "cause": "cause / SIP",
    "ended_by": "ended by",
    "sound": "MOS",
    "reason": "reason",
    "links": "story",
}
USUAL = (
    "started",
    "account",
    "caller",
    "callee",
    "trunk",
    "result",
    "talk",
    "cause",
    "ended_by",
    "links",
)
MOST_VIEWS = 50
MOST_ORDERS = 5
"""Exports of one user that wait to be written: a link on any page is enough to order one."""
LONGEST_QUERY = 2_000
"""As many characters of a query as an order keeps."""


class CdrList(ChangeList):
    """A list that is never counted whole, and whose columns are chosen in the address."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found = super().get_filters_params(params)
        found.pop("columns", None)
        return found

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # No count of everything, and so no way back to "all".
        self.full_result_count = self.result_count


class ListTools(ModelAdmin):
    """For the ModelAdmin of call records."""

    paginator = TotalsPaginator

    def get_paginator(
        self,
        request: HttpRequest,
        queryset: "QuerySet[Any]",
        per_page: int,
        orphans: int = 0,
        allow_empty_first_page: bool = True,
    ) -> Paginator[Any]:
        found = super().get_paginator(request, queryset, per_page, orphans, allow_empty_first_page)
        # Pages through a record's history, too.
        if isinstance(found, TotalsPaginator) and queryset.model is Cdr:
            found.long = long_by_the_hour(request.GET)
        return found

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("export/", export, name="cdr_export"),
            path("exports/", exports_page, name="cdr_exports"),
            path("exports/<int:pk>/", download, name="cdr_download"),
            path("views/", save_view, name="cdr_save_view"),
            path("views/<int:pk>/forget/", forget_view, name="cdr_forget_view"),
            path("<int:pk>/json/", one_as_json, name="cdr_json"),
        ]
        return [*own, *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CdrList

    def get_list_display(self, request: HttpRequest) -> Sequence[str]:  # type: ignore[override]
        return chosen_columns(request)

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> list[Any]:
        return list(list_display[:1])

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        given = request.GET.copy()
        for name in ("p", "columns"):
            given.pop(name, None)
        chosen = chosen_columns(request)
        user: Any = request.user
        tools = {
            "columns": [(name, label, name in chosen) for name, label in COLUMNS.items()],
            "kept": [(name, value) for name, values in given.lists() for value in values],
            "query": request.GET.urlencode(),
            "views": SavedView.objects.filter(Q(owner=user) | Q(shared=True))
            .select_related("owner")
            .order_by("name", "id")[:MOST_VIEWS],
            "may_export": request.user.has_perm("cdr.export_cdr"),
            "formats": [("csv", "CSV"), ("parquet", "Parquet")],
        }
        response = super().changelist_view(request, extra_context=tools | (extra_context or {}))
        shown = getattr(response, "context_data", None) or {}
        if "cl" in shown:
            paginator = shown["cl"].paginator
            when = partial(moment, form=Form.MINUTES)
            told = in_words(paginator.totals, request.GET, when, paginator.known)
            # Numbers, and times that `moment` has written.
            shown["totals"] = mark_safe(told)  # noqa: S308
        return response


def chosen_columns(request: HttpRequest) -> list[str]:
    """The columns that the address asks for, in our order; the usual ones without a word of it."""
    asked = set(",".join(request.GET.getlist("columns")).split(","))
    return [name for name in COLUMNS if name in asked] or list(USUAL)


@require_safe
@permitted("cdr.view_cdr", "cdr.export_cdr")
def export(request: HttpRequest) -> HttpResponseBase:
    """The selected records as a file: streamed, or, where they are many, as an order."""
    form = FORMATS.get(request.GET.get("form", ""))
    if form is None:
        raise Http404(f"Records are exported as {' or '.join(FORMATS)}.")
    query = _selecting(request)
    try:
        queryset = selected(query)
    except Unselectable as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:cdr_cdr_changelist"))
    if queryset.order_by()[: CAP + 1].count() > CAP:
        _order(request, form.name, query)
        return HttpResponseRedirect(reverse("admin:cdr_exports"))
    name = f"call-records-{timezone.localtime():%Y-%m-%d-%H%M%S}.{form.name}"
    return StreamingHttpResponse(
        form.chunks(rows(queryset)),
        content_type=form.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _order(request: HttpRequest, form: str, query: str) -> None:
    """Order a file to be written in the background, unless it is ordered already, and say so."""
    user: Any = request.user
    asked: dict[str, Any] = {
        "form": form,
        "query": query,
        "zone": str(timezone.get_current_timezone()),
    }
    open_states = (CdrExport.State.WAITING, CdrExport.State.RUNNING)
    orders = CdrExport.objects.filter(owner=user, state__in=open_states)
    known = orders.filter(**asked).exists()
    if len(query) > LONGEST_QUERY:
        # Cut, it might ask for more records than were asked for.
        messages.error(request, "The address of this list is too long to be kept: use less of it.")
    elif not known and orders.count() >= MOST_ORDERS:
        messages.error(
            request,
            f"{MOST_ORDERS} exports of yours wait to be written: order this one after them.",
        )
    else:
        if not known:
            CdrExport.objects.create(owner=user, **asked)
        messages.success(
            request,
            f"These are more than {CAP:,} records. The file is written in the background; it is "
            "offered here as soon as it is whole.",
        )


@require_safe
@permitted("cdr.view_cdr", "cdr.export_cdr")
def exports_page(request: HttpRequest) -> HttpResponse:
    """The exports that this user has ordered, with how far they are."""
    user: Any = request.user
    context = {"exports": CdrExport.objects.filter(owner=user)[:50]}
    if asks_for_fragment(request):
        return fragment(request, "cdr/exports_table.html", context)
    return page(request, "cdr/exports.html", "Exports", context)


@require_safe
@permitted("cdr.view_cdr", "cdr.export_cdr")
def download(request: HttpRequest, pk: int) -> HttpResponseBase:
    """An export that is done, to who ordered it."""
    user: Any = request.user
    order = get_object_or_404(CdrExport, pk=pk, owner=user, state=CdrExport.State.DONE)
    try:
        file = file_of(order).open("rb")
    except OSError:
        messages.error(
            request,
            "The file is not here any more, or lies on another machine: EXPORT_FOLDER has to be "
            "the same for the records worker and for the web process. Order it again.",
        )
        return HttpResponseRedirect(reverse("admin:cdr_exports"))
    return FileResponse(file, as_attachment=True, filename=order.file_name)


@require_safe
@permitted("cdr.view_cdr")
def one_as_json(request: HttpRequest, pk: int) -> HttpResponse:
    """One record, whole, for other programs."""
    record = get_object_or_404(Cdr.objects.prefetch_related("attempts"), pk=pk)
    return HttpResponse(json_text(record), content_type="application/json")


@require_POST
@permitted("cdr.view_cdr")
def save_view(request: HttpRequest) -> HttpResponse:
    """Keep the list as it is under a name; the same name again replaces it."""
    name = request.POST.get("name", "").strip()[:60]
    query = request.POST.get("query", "")[:1000]
    user: Any = request.user
    if not name:
        messages.error(request, "A saved view needs a name.")
    else:
        SavedView.objects.update_or_create(
            owner=user, name=name, defaults={"query": query, "shared": "shared" in request.POST}
        )
        messages.success(request, f"Saved the view {name}.")
    return HttpResponseRedirect(f"{reverse('admin:cdr_cdr_changelist')}?{query}")


@require_POST
@permitted("cdr.view_cdr")
def forget_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget a view; its owner may, and a superuser."""
    view = get_object_or_404(SavedView, pk=pk)
    if view.owner_id != request.user.pk and not request.user.is_superuser:
        raise PermissionDenied
    view.delete()
    messages.success(request, f"Forgot the view {view.name}.")
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = reverse("admin:cdr_cdr_changelist")
    return HttpResponseRedirect(back)


def _selecting(request: HttpRequest) -> str:
    """The address's parameters, without those of the page."""
    given = request.GET.copy()
    for name in OF_THE_PAGE:
        given.pop(name, None)
    return urlencode([(name, value) for name, values in given.lists() for value in values])
