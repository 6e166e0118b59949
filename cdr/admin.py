"""Call records in the admin: to be read, searched and filtered, never changed."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from cdr.display import Form, causes, clock, moment, span
from cdr.filters import (
    AccountFilter,
    CanaryFilter,
    StartedFilter,
    TrunkFilter,
    WindowFilter,
    describe_window,
)
from cdr.links import links_of, story_url
from cdr.list_tools import ListTools
from cdr.models import Cdr, CdrArchive, CdrAttempt
from cdr.read_only import ReadOnly
from cdr.record import Disposition
from cdr.search import Kind, parse
from cdr.sip import calls_of_sip

LABELS = {
    Disposition.ANSWERED.value: "success",
    Disposition.BUSY.value: "info",
    Disposition.NO_ANSWER.value: "info",
    Disposition.CANCELLED.value: "info",
    Disposition.REJECTED.value: "warning",
    Disposition.UNALLOCATED.value: "warning",
    Disposition.INVALID_NUMBER.value: "warning",
    Disposition.LIMITED.value: "warning",
    Disposition.BLOCKED.value: "warning",
    Disposition.NO_ROUTE.value: "warning",
    Disposition.UNAUTHORIZED.value: "warning",
    Disposition.LOOP.value: "danger",
    Disposition.TRUNK_AUTH.value: "danger",
    Disposition.MEDIA.value: "danger",
    Disposition.TIMEOUT.value: "danger",
    Disposition.CONGESTION.value: "danger",
}


def exactly(time: datetime | None) -> str:
    """A time to the millisecond, as records are compared with a carrier's."""
    return moment(time, Form.EXACT)


def sound(
    mos: float | None, jitter_ms: float | None, loss_percent: float | None, rtt_ms: float | None
) -> str:
    """Write a leg's quality: ``MOS 4.41, jitter 0.3 ms, loss 0 %``; a dash for a silent one."""
    if loss_percent is None:
        return "-"
    told = [
        f"MOS {mos:.2f}" if mos is not None else "",
        f"jitter {jitter_ms:g} ms" if jitter_ms is not None else "",
        f"loss {loss_percent:g} %",
        f"round trip {rtt_ms:g} ms" if rtt_ms is not None else "",
    ]
    return ", ".join(each for each in told if each)


class CdrAttemptInline(ReadOnly, TabularInline):
    model = CdrAttempt
    extra = 0
    hide_title = True
    verbose_name_plural = "attempts, in the order they were tried"
    fields = (
        "number",
        "trunk",
        "outcome",
        "callee_sent",
        "dialled",
        "pdd",
        "answered",
        "ended",
        "cause",
        "reason",
    )
    readonly_fields = fields

    @display(description="dialled")
    def dialled(self, row: CdrAttempt) -> str:
        return exactly(row.started_at)

    @display(description="PDD")
    def pdd(self, row: CdrAttempt) -> str:
        return span(row.pdd_ms)

    @display(description="answered")
    def answered(self, row: CdrAttempt) -> str:
        return exactly(row.answered_at)

    @display(description="ended")
    def ended(self, row: CdrAttempt) -> str:
        return exactly(row.ended_at)

    @display(description="cause / SIP")
    def cause(self, row: CdrAttempt) -> str:
        return causes(row.q850_cause, row.sip_code)


@admin.register(Cdr)
class CdrAdmin(ReadOnly, ListTools):
    empty_title = "No call in this time."
    empty_help = (
        "A call is recorded within a second of its end. Choose a longer time under Filters, or "
        "look at the live calls."
    )
    # Any other order would sort the whole table.
    sortable_by = ("started",)
    list_filter = (
        WindowFilter,
        ("started_at", StartedFilter),
        ("disposition", ChoicesDropdownFilter),
        ("ended_by", ChoicesDropdownFilter),
        AccountFilter,
        TrunkFilter,
        CanaryFilter,
    )
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_before_template = "cdr/window.html"
    search_fields = ("call_id",)
    search_help_text = (
        "A call id (node:channel), a leg's SIP Call-ID, or the first digits of a called number."
    )
    actions = None
    inlines = (CdrAttemptInline,)
    change_form_before_template = "cdr/links.html"
    fieldsets = (
        (
            "Result",
            {
                "fields": (
                    ("call_id", "node"),
                    ("disposition", "ended_by"),
                    ("cause", "integrity"),
                    "reason",
                )
            },
        ),
        (
            "Numbers",
            {
                "fields": (
                    ("account", "caller_name"),
                    ("caller_received", "callee_received"),
                    ("caller_normalised", "callee_normalised"),
                    ("caller_sent", "callee_sent"),
                )
            },
        ),
        ("Route", {"fields": (("prefix", "route", "trunk"), "canary")}),
        (
            "SIP and sound",
            {"fields": (("sip_call_id", "sip_code_heard"), ("caller_sound", "callee_sound"))},
        ),
        (
            "Times",
            {
                "fields": (
                    ("started_exactly", "progress_exactly"),
                    ("ringing_exactly", "answered_exactly"),
                    ("ended_exactly", "duration"),
                    ("pdd", "ring"),
                    ("talk_exactly", "billsec"),
                )
            },
        ),
    )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"window": describe_window(request.GET)} | (extra_context or {})
        return super().changelist_view(request, extra_context=context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id) if object_id else None
        links = links_of(row, request.user) if row else []
        context = {"links": links, "title": f"Call {row.call_id}" if row else ""}
        return super().changeform_view(
            request, object_id, form_url, context | (extra_context or {})
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Cdr], search_term: str
    ) -> tuple[QuerySet[Cdr], bool]:
        search = parse(search_term)
        if search.kind is Kind.CALL_ID:
            return queryset.filter(call_id=search.text), False
        if search.kind is Kind.SIP_CALL_ID:
            return queryset.filter(pk__in=calls_of_sip(search.text)), False
        if search.kind is Kind.CALLEE_PREFIX:
            return queryset.filter(callee_normalised__startswith=search.text), False
        if search.kind is Kind.UNKNOWN:
            messages.warning(
                request,
                "Call records are found by call id (node:channel), by a leg's SIP Call-ID or by "
                "the first digits of the called number; the filters do the rest.",
                fail_silently=True,
            )
            return queryset.none(), False
        return queryset, False

    @display(description="started", ordering="started_at")
    def started(self, row: Cdr) -> str:
        return moment(row.started_at)

    @display(description="story")
    def links(self, row: Cdr) -> str:
        return format_html('<a class="rm-link" href="{}">story</a>', story_url(row.call_id))

    @display(description="MOS")
    def sound(self, row: Cdr) -> str:
        told = [mos for mos in (row.caller_mos, row.callee_mos) if mos is not None]
        return f"{min(told):.1f}" if told else "-"

    @display(description="caller")
    def caller(self, row: Cdr) -> str:
        return row.caller_normalised or row.caller_received

    @display(description="callee")
    def callee(self, row: Cdr) -> str:
        return row.callee_normalised or row.callee_received

    @display(description="disposition", label=LABELS)
    def result(self, row: Cdr) -> tuple[str, str]:
        return row.disposition, row.get_disposition_display()

    @display(description="talk")
    def talk(self, row: Cdr) -> str:
        return clock(row.talk_ms) if row.answered_at else "-"

    @display(description="cause / SIP")
    def cause(self, row: Cdr) -> str:
        return causes(row.q850_cause, row.sip_code)

    @display(description="started")
    def started_exactly(self, row: Cdr) -> str:
        return exactly(row.started_at)

    @display(description="early media")
    def progress_exactly(self, row: Cdr) -> str:
        return exactly(row.progress_at)

    @display(description="ringing")
    def ringing_exactly(self, row: Cdr) -> str:
        return exactly(row.ringing_at)

    @display(description="answered")
    def answered_exactly(self, row: Cdr) -> str:
        return exactly(row.answered_at)

    @display(description="ended")
    def ended_exactly(self, row: Cdr) -> str:
        return exactly(row.ended_at)

    @display(description="duration")
    def duration(self, row: Cdr) -> str:
        return span(row.duration_ms)

    @display(description="post-dial delay")
    def pdd(self, row: Cdr) -> str:
        return span(row.pdd_ms)

    @display(description="ring time")
    def ring(self, row: Cdr) -> str:
        return span(row.ring_ms)

    @display(description="sound from the caller")
    def caller_sound(self, row: Cdr) -> str:
        return sound(
            row.caller_mos, row.caller_jitter_ms, row.caller_loss_percent, row.caller_rtt_ms
        )

    @display(description="sound from the callee")
    def callee_sound(self, row: Cdr) -> str:
        return sound(
            row.callee_mos, row.callee_jitter_ms, row.callee_loss_percent, row.callee_rtt_ms
        )

    @display(description="talk time")
    def talk_exactly(self, row: Cdr) -> str:
        return span(row.talk_ms)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [
            name
            for _, options in self.fieldsets
            for line in options["fields"]
            for name in ((line,) if isinstance(line, str) else line)
        ]


@admin.register(CdrArchive)
class CdrArchiveAdmin(ReadOnly, ModelAdmin):
    """Which months are in files, for whoever looks for a record that the list has no more."""

    empty_title = "No month has been archived."
    empty_help = (
        "`manage.py archive_cdrs` writes months that are older than CDR_MONTHS to Parquet, reads "
        "the files back, and deletes what they hold from the database."
    )
    list_display = (
        "month_shown",
        "cdrs",
        "attempts",
        "billsec",
        "cdr_file",
        "archived_at",
        "dropped_at",
    )
    list_display_links = None
    list_fullwidth = True

    @display(description="month (UTC)", ordering="month")
    def month_shown(self, archive: CdrArchive) -> str:
        return f"{archive.month:%Y-%m}"
