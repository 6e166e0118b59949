"""Call records in the admin: to be read, searched and filtered, never changed."""

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from cdr.filters import (
    AccountFilter,
    StartedFilter,
    TrunkFilter,
    WindowFilter,
    describe_window,
)
from cdr.models import Cdr, CdrAttempt
from cdr.paging import CappedPaginator
from cdr.record import Disposition
from cdr.search import Kind, parse

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


def clock(ms):
    """Write milliseconds as ``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def span(ms):
    """Write milliseconds as seconds with three decimals; a dash for what never was."""
    return "-" if ms is None else f"{ms / 1000:.3f} s"


def moment(time):
    """Write a time to the millisecond, as records are compared with a carrier's."""
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03}"


def causes(row):
    """Write the Q.850 cause and the SIP code, as ``17 / 486``."""
    return " / ".join("-" if code is None else str(code) for code in (row.q850_cause, row.sip_code))


class ReadOnly:
    """Looked at by those who may view it, changed by nobody."""

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


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
    def dialled(self, row):
        return moment(row.started_at)

    @display(description="PDD")
    def pdd(self, row):
        return span(row.pdd_ms)

    @display(description="answered")
    def answered(self, row):
        return moment(row.answered_at)

    @display(description="ended")
    def ended(self, row):
        return moment(row.ended_at)

    @display(description="cause / SIP")
    def cause(self, row):
        return causes(row)


class CdrList(ChangeList):
    """A list that is never counted whole, and so offers no way back to "all"."""

    def get_results(self, request):
        super().get_results(request)
        self.full_result_count = self.result_count


@admin.register(Cdr)
class CdrAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "started",
        "account",
        "caller",
        "callee",
        "trunk",
        "result",
        "talk",
        "cause",
        "ended_by",
    )
    list_display_links = ("started",)
    # Any other order would sort the whole table.
    sortable_by = ("started",)
    list_filter = (
        WindowFilter,
        ("started_at", StartedFilter),
        ("disposition", ChoicesDropdownFilter),
        ("ended_by", ChoicesDropdownFilter),
        AccountFilter,
        TrunkFilter,
    )
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_before_template = "cdr/window.html"
    paginator = CappedPaginator
    search_fields = ("call_id",)
    search_help_text = "A call id (node:channel), or the first digits of a called number."
    actions = None
    inlines = (CdrAttemptInline,)
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
        ("Route", {"fields": (("prefix", "route", "trunk"),)}),
        (
            "Times (UTC)",
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

    def get_changelist(self, request, **kwargs):
        return CdrList

    def changelist_view(self, request, extra_context=None):
        context = {"window": describe_window(request.GET)} | (extra_context or {})
        return super().changelist_view(request, extra_context=context)

    def get_search_results(self, request, queryset, search_term):
        search = parse(search_term)
        if search.kind is Kind.CALL_ID:
            return queryset.filter(call_id=search.text), False
        if search.kind is Kind.CALLEE_PREFIX:
            return queryset.filter(callee_normalised__startswith=search.text), False
        if search.kind is Kind.UNKNOWN:
            messages.warning(
                request,
                "Call records are found by call id (node:channel) or by the first digits of the "
                "called number; the filters do the rest.",
            )
            return queryset.none(), False
        return queryset, False

    @display(description="started (UTC)", ordering="started_at")
    def started(self, row):
        return f"{row.started_at:%Y-%m-%d %H:%M:%S}"

    @display(description="caller")
    def caller(self, row):
        return row.caller_normalised or row.caller_received

    @display(description="callee")
    def callee(self, row):
        return row.callee_normalised or row.callee_received

    @display(description="disposition", label=LABELS)
    def result(self, row):
        return row.disposition, row.get_disposition_display()

    @display(description="talk")
    def talk(self, row):
        return clock(row.talk_ms) if row.answered_at else "-"

    @display(description="cause / SIP")
    def cause(self, row):
        return causes(row)

    @display(description="started")
    def started_exactly(self, row):
        return moment(row.started_at)

    @display(description="early media")
    def progress_exactly(self, row):
        return moment(row.progress_at)

    @display(description="ringing")
    def ringing_exactly(self, row):
        return moment(row.ringing_at)

    @display(description="answered")
    def answered_exactly(self, row):
        return moment(row.answered_at)

    @display(description="ended")
    def ended_exactly(self, row):
        return moment(row.ended_at)

    @display(description="duration")
    def duration(self, row):
        return span(row.duration_ms)

    @display(description="post-dial delay")
    def pdd(self, row):
        return span(row.pdd_ms)

    @display(description="ring time")
    def ring(self, row):
        return span(row.ring_ms)

    @display(description="talk time")
    def talk_exactly(self, row):
        return span(row.talk_ms)

    def get_readonly_fields(self, request, obj=None):
        return [
            name
            for _, options in self.fieldsets
            for line in options["fields"]
            for name in ((line,) if isinstance(line, str) else line)
        ]
