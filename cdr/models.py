"""The rows a call leaves behind. Written by cdr.writer only, read by everybody.

Rows keep copies of the names they refer to (account, trunk, route): history stays true when the
configuration changes. Widths are those of the longest value that makes sense; cdr.writer cuts
longer ones, so that no caller can make a record fail.
"""

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
}


def _choices(words: dict) -> list[tuple[str, str]]:
    return [(key.value, label) for key, label in words.items()]


def _text(label: str, width: int) -> models.CharField:
    return models.CharField(label, max_length=width, blank=True, default="")


def _moment(label: str) -> models.DateTimeField:
    return models.DateTimeField(label, null=True, blank=True)


def _span(label: str) -> models.BigIntegerField:
    return models.BigIntegerField(label, null=True, blank=True)


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
    integrity = models.CharField(
        "integrity",
        max_length=10,
        choices=_choices(INTEGRITY),
        default=Integrity.COMPLETE.value,
        help_text="Recovered: events were missed, and the end was found by comparing "
        "with Asterisk's own list.",
    )

    class Meta:
        verbose_name = "call record"
        verbose_name_plural = "call records"
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
        ]

    def __str__(self) -> str:
        return f"{self.call_id} ({self.get_disposition_display()})"


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

    class Meta:
        verbose_name = "attempt"
        verbose_name_plural = "attempts"
        ordering = ["cdr_id", "number"]
        constraints = [
            # Its index also finds a call's attempts.
            models.UniqueConstraint(fields=["cdr", "number"], name="cdr_attempt_once"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} by {self.trunk or 'no trunk'}"
