"""A call record as a document for programs: the HTTP API's names, from a record's own values."""

from functools import cache
from typing import Any

from django.db import models

from cdr.mapping import attempt_row, cdr_row
from cdr.models import Cdr, CdrAttempt
from cdr.record import CallRecord

NAME_CARRIERS = ("reason", "caller_sent", "callee_sent")
"""Texts that may tell which way a call went: an account's programs learn nothing of carriers."""
OF_CARRIERS = ("prefix", "route", "trunk", "canary", "attempts")


def document(record: CallRecord) -> dict[str, Any]:
    """The whole record; times are datetimes. The columns' widths hold, as in the database."""
    told = _told(cdr_row(record), _names(Cdr))
    attempts = [
        _told(attempt_row(0, each), _names(CdrAttempt, "channel_id")) for each in record.attempts
    ]
    return told | {"attempts": attempts}


def without_carriers(told: dict[str, Any]) -> dict[str, Any]:
    """What an account's own programs are told of it."""
    return told | dict.fromkeys(NAME_CARRIERS, "") | dict.fromkeys(OF_CARRIERS)


def _told(row: Cdr | CdrAttempt, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


@cache
def _names(model: type[models.Model], *hidden: str) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in model._meta.concrete_fields
        if field.name not in ("id", "cdr", *hidden)
    )
