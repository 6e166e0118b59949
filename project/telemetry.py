"""Calls as traces to an OpenTelemetry collector, where OTLP_TRACES_URL names one.

Off by default, and its libraries are installed by those who want it (docs/install/telemetry.txt).
The records worker tells each call that is over; spans wait in this process for a collector that is
slow or away, and the oldest are dropped past `MOST_WAITING`: no call and no record waits for them.
"""

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from calls.errors import CallError
from calls.machine.journal import read
from calls.story.retrace import retrace
from calls.story.spans import Span, spans, trace_id
from cdr.trace import TraceHead

logger = logging.getLogger(__name__)

MOST_WAITING = 20_000
"""Spans, some 20 MB: two thousand calls."""
BATCH = 500
EVERY_MS = 1_000


class Telemetry:
    """Sends calls to one collector. `close` sends what waits and gives up the connection."""

    def __init__(self, url: str) -> None:
        """Raises ImproperlyConfigured where the libraries are not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ImproperlyConfigured(
                f"OTLP_TRACES_URL is set, but {error.name} is not installed. Install what it needs "
                "(pip install --require-hashes -r docs/install/telemetry.txt), or unset it."
            ) from error
        from project import __version__

        self._resource = Resource.create(
            {"service.name": "ringmaster", "service.version": __version__}
        )
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=url),
            max_queue_size=MOST_WAITING,
            max_export_batch_size=BATCH,
            schedule_delay_millis=EVERY_MS,
        )

    def tell(self, head: TraceHead, journal: bytes) -> None:
        """Tell a call that is over; never raises, and never waits for the collector."""
        try:
            for each in spans(retrace(head.call_id, read(journal))):
                self._processor.on_end(self._readable(head.call_id, each))
        except CallError as error:
            logger.warning("Call %s has no trace of spans: %s", head.call_id, error)

    def close(self) -> None:
        """Send what waits, for some seconds at most."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, call_id: str, span: Span) -> Any:
        from opentelemetry.sdk.trace import Event, ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def context(key_id: int) -> SpanContext:
            flags = TraceFlags(TraceFlags.SAMPLED)
            return SpanContext(trace_id(call_id), key_id, is_remote=False, trace_flags=flags)

        root = Span(span.parent or "", span.parent or "", None, 0, 0)
        return ReadableSpan(
            name=span.name,
            context=context(span.span_id(call_id)),
            parent=context(root.span_id(call_id)) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            events=[Event(name, timestamp=at_ms * 1_000_000) for name, at_ms in span.events],
            kind=SpanKind.INTERNAL if span.parent else SpanKind.SERVER,
            status=Status(StatusCode.ERROR, span.failed) if span.failed else Status(StatusCode.OK),
            start_time=span.began_ms * 1_000_000,
            end_time=span.ended_ms * 1_000_000,
        )


def teller(url: str) -> tuple[Callable[[TraceHead, bytes], None] | None, Callable[[], None]]:
    """What tells a call, None where nobody wants to know; and what ends that."""
    if not url:
        return None, lambda: None
    telemetry = Telemetry(url)
    return telemetry.tell, telemetry.close
