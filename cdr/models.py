"""The rows a call leaves behind. Written by cdr.writer only, read by everybody.

Rows keep copies of the names they refer to (account, trunk, route): history stays true when the
configuration changes. Widths are those of the longest value that makes sense; cdr.writer cuts
longer ones, so that no caller can make a record fail.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from django.conf import settings
from django.db import models

from cdr.record import Disposition, EndedBy, Integrity, Outcome

DISPOSITIONS = {
    Disposition.ANSWERED: "answered",
    Disposition.BUSY: "busy",
    Disposition.NO_ANSWER: "no answer",
    Disposition.REJECTED: "rejected",
    Disposition.UNALLOCATED: "unallocated number",
    Disposition.INVALID_NUMBER: "invalid number",
    Disposition.LOOP: "loop",
    Disposition.TRUNK_AUTH: "trunk refused our login",
    Disposition.MEDIA: "no common media",
    Disposition.TIMEOUT: "timeout",
    Disposition.CONGESTION: "congestion",
    Disposition.CANCELLED: "cancelled",
    Disposition.LIMITED: "over a limit",
    Disposition.BLOCKED: "blocked",
    Disposition.NO_ROUTE: "no route",
    Disposition.UNAUTHORIZED: "unknown caller",
}
ENDED_BY = {member: member.value for member in EndedBy}
INTEGRITY = {member: member.value for member in Integrity}
OUTCOMES = {
    Outcome.DIALLED: "dialled",
    Outcome.FAILED: "failed before the dial",
    Outcome.SKIPPED_DISABLED: "skipped: disabled",
    Outcome.SKIPPED_DOWN: "skipped: down",
    Outcome.SKIPPED_FULL: "skipped: full",
    Outcome.SKIPPED_CPS: "skipped: calls per second",
    Outcome.SKIPPED_NUMBER: "skipped: number",
    Outcome.SKIPPED_TECH: "skipped: forbidden dial string",
    Outcome.SKIPPED_BLOCKED: "skipped: sends what is blocked",
    Outcome.SKIPPED_DRAINED: "skipped: drained",
}


_Word = TypeVar("_Word", bound=StrEnum)


def _choices(words: Mapping[_Word, str]) -> list[tuple[str, str]]:
    return [(key.value, label) for key, label in words.items()]


def _text(label: str, width: int) -> "models.CharField[str, str]":
    return models.CharField(label, max_length=width, blank=True, default="")


def _moment(label: str) -> "models.DateTimeField[datetime | None, datetime | None]":
    return models.DateTimeField(label, null=True, blank=True)


def _span(label: str) -> "models.BigIntegerField[int | None, int | None]":
    return models.BigIntegerField(label, null=True, blank=True)


def _bin() -> "models.PositiveIntegerField[int | None, int | None]":
    """A column for each bin, as the database adds up columns and no lists; null in a row that
    0.9.0 wrote, until cdr.rollup fills it."""
    return models.PositiveIntegerField("calls in a bin of the PDD histogram", null=True)


def _measure(label: str) -> "models.FloatField[float | None, float | None]":
    return models.FloatField(label, null=True, blank=True)


SIP_CALL_ID_WIDTH = 256


def _sip_index(name: str) -> models.Index:
    """Finds a call by what a carrier or a capture calls it; not filled by legs without SIP."""
    return models.Index(fields=["sip_call_id"], name=name, condition=~models.Q(sip_call_id=""))


class Cdr(models.Model):
    """One call. Times are UTC to the microsecond, ``*_ms`` are milliseconds."""

    call_id = models.CharField("call id", max_length=200, unique=True)
    node = models.CharField("node", max_length=64, help_text="The Asterisk that carried the call.")

    started_at = models.DateTimeField("started")
    progress_at = _moment("early media")
    ringing_at = _moment("ringing")
    answered_at = _moment("answered")
    ended_at = models.DateTimeField("ended")

    pdd_ms = _span("post-dial delay, ms")
    ring_ms = _span("ring time, ms")
    duration_ms = models.BigIntegerField("duration, ms")
    talk_ms = models.BigIntegerField("talk time, ms")
    billsec = models.PositiveIntegerField("billed seconds", help_text="Begun seconds of talk.")

    account = _text("account", 80)
    caller_received = _text("caller as received", 128)
    caller_name = _text("caller's name", 128)
    caller_normalised = _text("caller", 128)
    caller_sent = _text("caller as sent", 128)
    callee_received = _text("callee as received", 128)
    callee_normalised = _text("callee", 128)
    callee_sent = _text("callee as sent", 128)

    prefix = _text("matched prefix", 32)
    route = _text("route", 128)
    trunk = _text("trunk", 64)

    disposition = models.CharField("disposition", max_length=16, choices=_choices(DISPOSITIONS))
    q850_cause = models.PositiveSmallIntegerField("Q.850 cause", null=True, blank=True)
    sip_code = models.PositiveSmallIntegerField("SIP code", null=True, blank=True)
    ended_by = models.CharField("ended by", max_length=8, choices=_choices(ENDED_BY))
    reason = _text("reason", 500)
    calls = models.PositiveIntegerField(
        "calls",
        default=1,
        db_default=1,
        help_text="How many calls this line stands for: of those that are refused because too many "
        "were, there is one line a second.",
    )
    integrity = models.CharField(
        "integrity",
        max_length=10,
        choices=_choices(INTEGRITY),
        default=Integrity.COMPLETE.value,
        help_text="Recovered: events were missed, and the end was found by comparing "
        "with Asterisk's own list.",
    )
    sip_code_heard = models.PositiveSmallIntegerField(
        "SIP code heard", null=True, blank=True, help_text="The final code that the caller got."
    )
    sip_call_id = _text("SIP Call-ID", SIP_CALL_ID_WIDTH)
    caller_mos = _measure("caller's MOS")
    caller_jitter_ms = _measure("caller's jitter, ms")
    caller_loss_percent = _measure("caller's loss, %")
    caller_rtt_ms = _measure("caller's round trip, ms")
    callee_mos = _measure("callee's MOS")
    callee_jitter_ms = _measure("callee's jitter, ms")
    callee_loss_percent = _measure("callee's loss, %")
    callee_rtt_ms = _measure("callee's round trip, ms")

    canary = models.CharField(
        "canary",
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text="While a change to the route was tried on a part of its calls: the canary's "
        "number, and whether this call tried the new trunks or the old.",
    )

    class Meta:
        verbose_name = "call record"
        verbose_name_plural = "call records"
        permissions = [
            ("export_cdr", "Can export call records"),
            ("settle_cdr", "Can retry or drop records that were set aside"),
        ]
        ordering = ["-started_at", "-id"]
        indexes = [
            models.Index(fields=["started_at", "id"], name="cdr_started"),
            models.Index(fields=["account", "started_at"], name="cdr_account_started"),
            models.Index(fields=["trunk", "started_at"], name="cdr_trunk_started"),
            # The operator class lets LIKE 'prefix%' use the index whatever the collation;
            # SQLite knows none and takes the plain columns.
            models.Index(
                fields=["callee_normalised", "started_at"],
                name="cdr_callee_started",
                opclasses=["text_pattern_ops", "timestamptz_ops"],
            ),
            _sip_index("cdr_sip_call_id"),
            models.Index(
                fields=["canary", "started_at"],
                name="cdr_canary_started",
                condition=~models.Q(canary=""),
            ),
        ]

    def __str__(self) -> str:
        # A page's title begins with a capital, which a call id must not.
        return f"call {self.call_id} ({self.get_disposition_display()})"


class BegunCall(models.Model):
    """One call that began, noted as it began: what the ledger holds the call records against."""

    call_id = models.CharField("call id", max_length=200, unique=True)
    begun_at = models.DateTimeField("begun", db_index=True)

    class Meta:
        verbose_name = "call begun"
        verbose_name_plural = "calls begun"
        ordering = ["-begun_at"]

    def __str__(self) -> str:
        return self.call_id


class CdrAttempt(models.Model):
    """One trunk's turn in a call, in the order they were tried."""

    cdr = models.ForeignKey(
        Cdr, models.CASCADE, related_name="attempts", verbose_name="call", db_index=False
    )
    number = models.PositiveSmallIntegerField("number")
    trunk = _text("trunk", 64)
    outcome = models.CharField("outcome", max_length=16, choices=_choices(OUTCOMES))
    channel_id = _text("channel id", 200)
    callee_sent = _text("callee as sent", 128)

    started_at = _moment("dialled")
    progress_at = _moment("early media")
    ringing_at = _moment("ringing")
    answered_at = _moment("answered")
    ended_at = _moment("ended")
    pdd_ms = _span("post-dial delay, ms")

    q850_cause = models.PositiveSmallIntegerField("Q.850 cause", null=True, blank=True)
    sip_code = models.PositiveSmallIntegerField("SIP code", null=True, blank=True)
    reason = _text("reason", 500)
    sip_call_id = _text("SIP Call-ID", SIP_CALL_ID_WIDTH)

    class Meta:
        verbose_name = "attempt"
        verbose_name_plural = "attempts"
        ordering = ["cdr_id", "number"]
        constraints = [
            # Its index also finds a call's attempts.
            models.UniqueConstraint(fields=["cdr", "number"], name="cdr_attempt_once"),
        ]
        indexes = [_sip_index("cdr_attempt_sip_call_id")]

    def __str__(self) -> str:
        return f"attempt {self.number} by {self.trunk or 'no trunk'}"


class CallTrace(models.Model):
    """What a call heard and did, for some days: its journal, and its SIP messages where traced.

    Written by cdr.trace_writer only. Found by its call; no key to the call's record, which may be
    written later, and which outlives it.
    """

    call_id = models.CharField("call id", max_length=200, unique=True)
    node = models.CharField("node", max_length=64)
    account = _text("account", 80)
    started_at = models.DateTimeField("started")
    failed = models.BooleanField("failed", default=False)
    keep_until = models.DateField("kept until", help_text="UTC; dropped on the day after.")
    journal = models.BinaryField("journal", help_text="Packed by cdr.packing.")
    sip = models.BinaryField("SIP messages", default=b"", help_text="Packed by cdr.packing.")

    class Meta:
        verbose_name = "call trace"
        verbose_name_plural = "call traces"
        ordering = ["-started_at", "-id"]
        indexes = [
            models.Index(fields=["keep_until", "id"], name="trace_keep_until"),
            models.Index(fields=["started_at", "id"], name="trace_started"),
        ]

    def __str__(self) -> str:
        return f"trace of {self.call_id}"


class HourlyCalls(models.Model):
    """What became of the calls that started in an hour or a day, for one account, trunk or prefix.

    Written by cdr.rollup from the records, again and again until an hour has no new ones. Of a
    trunk every dialled attempt counts, of everything else every call.
    """

    class Kind(models.TextChoices):
        """Whose calls a row counts."""

        ALL = "all", "all calls"
        ACCOUNT = "account", "account"
        TRUNK = "trunk", "trunk"
        PREFIX = "prefix", "prefix"

    class Span(models.TextChoices):
        """How long a row reaches; days are UTC, and there once they are over."""

        HOUR = "hour", "hour"
        DAY = "day", "day"

    span = models.CharField("span", max_length=4, choices=Span.choices, default=Span.HOUR.value)
    hour = models.DateTimeField("hour", help_text="Its beginning, UTC.")
    kind = models.CharField("kind", max_length=8, choices=Kind.choices)
    key = _text("whose", 80)
    attempts = models.PositiveIntegerField("attempts")
    seizures = models.PositiveIntegerField("seizures")
    answered = models.PositiveIntegerField("answered")
    effective = models.PositiveIntegerField("effective")
    talk_ms = models.BigIntegerField("talk time, ms")
    billsec = models.BigIntegerField("billed seconds")
    pdd = models.JSONField(
        "PDD histogram",
        help_text="Bins of cdr.rates.PDD_EDGES_MS, as 0.9.0 reads them; goes with the version "
        "after the next.",
    )
    pdd_0 = _bin()
    pdd_1 = _bin()
    pdd_2 = _bin()
    pdd_3 = _bin()
    pdd_4 = _bin()
    pdd_5 = _bin()
    pdd_6 = _bin()
    pdd_7 = _bin()
    pdd_8 = _bin()
    pdd_9 = _bin()
    pdd_10 = _bin()
    pdd_11 = _bin()
    pdd_12 = _bin()
    causes = models.JSONField("causes", help_text="Q.850/SIP of what was not answered: count.")

    class Meta:
        verbose_name = "hour of calls"
        verbose_name_plural = "hours of calls"
        default_permissions = ()
        ordering = ["-hour", "kind", "key"]
        constraints = [
            models.UniqueConstraint(fields=["span", "kind", "hour", "key"], name="hourly_once"),
        ]
        indexes = [
            # Empty but for some minutes after an upgrade.
            models.Index(
                fields=["span", "-hour"],
                name="hourly_without_bins",
                condition=models.Q(pdd_0__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}:00 UTC, {self.kind} {self.key}".rstrip()


class HourDue(models.Model):
    """An hour whose calls have to be added up again; written in the transaction of its records.

    ``stamp`` differs after every write, so that an hour added up in the same moment stays due.
    """

    hour = models.DateTimeField("hour", primary_key=True)
    stamp = models.BigIntegerField("stamp")

    class Meta:
        verbose_name = "hour to add up"
        verbose_name_plural = "hours to add up"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}:00 UTC"


class CdrArchive(models.Model):
    """Records of one month that are in files, proven, and then deleted. Written by cdr.archive."""

    month = models.DateField("month", db_index=True, help_text="Its first day, UTC.")
    cdrs = models.PositiveIntegerField("records")
    attempts = models.PositiveIntegerField("attempts")
    talk_ms = models.BigIntegerField("talk time, ms")
    billsec = models.BigIntegerField("billed seconds")
    cdr_file = models.CharField("file of the records", max_length=100)
    cdr_sha256 = models.CharField("its SHA-256", max_length=64)
    attempt_file = models.CharField("file of the attempts", max_length=100)
    attempt_sha256 = models.CharField("its SHA-256", max_length=64)
    archived_at = models.DateTimeField("archived", auto_now_add=True)
    dropped_at = _moment("deleted from the database")

    class Meta:
        verbose_name = "archive"
        verbose_name_plural = "archives"
        default_permissions = ("view",)
        ordering = ["-month", "-id"]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} ({self.cdr_file})"


class SavedView(models.Model):
    """A list of call records as somebody wants to see it again: filters, search and columns."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, verbose_name="owner")
    name = models.CharField("name", max_length=60)
    query = models.CharField("query", max_length=1000, blank=True, default="")
    shared = models.BooleanField("shared", default=False, help_text="Seen by everybody.")

    class Meta:
        verbose_name = "saved view"
        verbose_name_plural = "saved views"
        default_permissions = ()
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="saved_view_once"),
        ]

    def __str__(self) -> str:
        return self.name


class CdrExport(models.Model):
    """An export too large for a request: written by the records worker, fetched by its owner."""

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", "waiting"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, verbose_name="owner")
    asked_at = models.DateTimeField("asked", auto_now_add=True)
    form = models.CharField("form", max_length=8)
    query = models.CharField("query", max_length=2000, blank=True, default="")
    zone = models.CharField("zone", max_length=64, default="UTC")
    state = models.CharField(
        "state", max_length=8, choices=State.choices, default=State.WAITING.value
    )
    total = models.BigIntegerField("records", null=True, blank=True)
    written = models.BigIntegerField("written", default=0)
    moved_at = models.DateTimeField("last moved", auto_now_add=True)
    trouble = models.CharField("trouble", max_length=300, blank=True, default="")

    class Meta:
        verbose_name = "export"
        verbose_name_plural = "exports"
        default_permissions = ()
        ordering = ["-asked_at", "-id"]

    def __str__(self) -> str:
        return f"export {self.pk} ({self.state})"

    @property
    def percent(self) -> int:
        """How much of it is written."""
        return min(100, round(100 * self.written / self.total)) if self.total else 0

    @property
    def file_name(self) -> str:
        """Under which it lies in EXPORT_FOLDER."""
        return f"call-records-{self.pk}.{self.form}"
