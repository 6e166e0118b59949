"""Writes large exports, one after the other, away from every request.

A row of `CdrExport` is the order. One whose worker died is taken up again, from its beginning,
by whoever finds that it has not moved for `DEAD_S`. Files are kept for `KEPT` and readable by
their own user only.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import Error
from django.db.models import F, Q
from django.utils import timezone

from cdr.errors import first_line
from cdr.export import FORMATS, Row, rows
from cdr.models import CdrExport
from cdr.rounds import in_rounds
from cdr.selection import Unselectable, selected

LOOK_S = 2.0
DEAD_S = 60.0
KEPT = timedelta(days=7)
FORGET_S = 60.0
"""Time between two looks for exports that are older than `KEPT`."""
TOLD_S = 1.0
"""Time between two times that the progress is told."""

State = CdrExport.State
logger = logging.getLogger(__name__)


class Exporter:
    """Takes orders, in a thread of its own."""

    def __init__(self) -> None:
        self._forgot_s = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop`` is set; an export under way is then left to another worker."""
        in_rounds(
            lambda: self._look(stop),
            stop,
            LOOK_S,
            lambda error: logger.warning("Exports wait for the database: %s", first_line(error)),
            at_once=True,
        )

    def _look(self, stop: threading.Event) -> None:
        if time.monotonic() >= self._forgot_s + FORGET_S:
            forget_old()
            self._forgot_s = time.monotonic()
        _carry_out_all(stop)


def _carry_out_all(stop: threading.Event) -> None:
    while not stop.is_set() and (order := next_order()) is not None:
        carry_out(order, stop)


def file_of(export: CdrExport) -> Path:
    """Where the export's file is, or will be."""
    return Path(settings.EXPORT_FOLDER) / export.file_name


def next_order() -> CdrExport | None:
    """Take the oldest order that nobody works on; None when there is none."""
    dead = timezone.now() - timedelta(seconds=DEAD_S)
    open_ones = Q(state=State.WAITING) | Q(state=State.RUNNING, moved_at__lt=dead)
    found = CdrExport.objects.filter(open_ones)
    if not found.exists():
        # Most often: and the question for whole rows takes Django twice as long to put.
        return None
    for order in found.order_by("asked_at", "id")[:10]:
        mine = CdrExport.objects.filter(pk=order.pk, state=order.state, moved_at=order.moved_at)
        now = timezone.now()
        if mine.update(state=State.RUNNING, moved_at=now, written=0):
            order.state, order.moved_at, order.written = State.RUNNING, now, 0
            return order
    return None


def carry_out(order: CdrExport, stop: threading.Event) -> None:
    """Write the order's file, and say how far it is. Raises ``django.db.Error``."""
    path = file_of(order)
    part = path.with_suffix(f"{path.suffix}.part")
    try:
        with timezone.override(ZoneInfo(order.zone)):
            queryset = selected(order.query)
            CdrExport.objects.filter(pk=order.pk).update(total=queryset.count())
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        counted = _told(rows(queryset), order, stop)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for chunk in FORMATS[order.form].chunks(counted):
                file.write(chunk)
        part.rename(path)
    except _Stopped:
        part.unlink(missing_ok=True)
        CdrExport.objects.filter(pk=order.pk).update(state=State.WAITING, written=0)
    except Unselectable as error:
        _finish(order, State.FAILED, str(error))
    except Error:
        raise
    except OSError as error:
        logger.error("Export %s could not be written to EXPORT_FOLDER: %s", order.pk, error)
        _finish(order, State.FAILED, f"The file could not be written: {first_line(error)}.")
    except Exception:
        # Else it would be taken up again and again, and no other order after it.
        logger.exception("Export %s cannot be carried out.", order.pk)
        _finish(order, State.FAILED, "The order cannot be carried out. The log says why.")
    else:
        _finish(order, State.DONE)


def forget_old() -> None:
    """Remove exports, with their files, that are older than `KEPT`."""
    for export in CdrExport.objects.filter(asked_at__lt=timezone.now() - KEPT):
        file_of(export).unlink(missing_ok=True)
        export.delete()


class _Stopped(Exception):
    """The worker ends."""


def _told(records: Iterable[Row], order: CdrExport, stop: threading.Event) -> Iterator[Row]:
    told, written = time.monotonic(), 0
    for row in records:
        yield row
        written += 1
        if written % 1_000 == 0 and time.monotonic() - told > TOLD_S:
            if stop.is_set():
                raise _Stopped
            told = time.monotonic()
            _progress(order, written)
    _progress(order, written)


def _progress(order: CdrExport, written: int) -> None:
    CdrExport.objects.filter(pk=order.pk).update(written=written, moved_at=timezone.now())


def _finish(order: CdrExport, state: CdrExport.State, trouble: str = "") -> None:
    CdrExport.objects.filter(pk=order.pk).update(
        state=state, trouble=trouble[:300], moved_at=timezone.now(), total=F("written")
    )
