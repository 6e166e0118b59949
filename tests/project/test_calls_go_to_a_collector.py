"""OTLP_TRACES_URL: the records worker tells a collector each call that is over, and never waits."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core.exceptions import ImproperlyConfigured
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from calls.story.spans import spans, trace_id
from cdr.trace import STREAM, TraceHead
from cdr.trace_writer import LEASE_KEY, Keeping, TraceWriter
from project import __version__, environment, telemetry
from tests.lab.ports import LOOPBACK, free_port
from tests.machine.world import CALL
from tests.story.journals import answered

HEAD = TraceHead(call_id=CALL, node="pbx1", account="demo", started_ms=1, failed=False)


class Collector(HTTPServer):
    """Takes what comes by OTLP over HTTP, as any collector does."""

    def __init__(self):
        self.requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                length = int(handler.headers["Content-Length"])
                told = ExportTraceServiceRequest.FromString(handler.rfile.read(length))
                self.requests.append((handler.path, told))
                handler.send_response(200)
                handler.send_header("Content-Type", "application/x-protobuf")
                handler.end_headers()

            def log_message(handler, *words):
                pass

        super().__init__((LOOPBACK, 0), Handler)

    @property
    def url(self):
        return f"http://{LOOPBACK}:{self.server_port}/v1/traces"

    @property
    def spans(self):
        return [
            (resource.resource, span)
            for _, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_call_arrives_as_one_trace(collector):
    world = answered()
    sender = telemetry.Telemetry(collector.url)
    sender.tell(HEAD, world.journal)
    sender.close()

    assert {path for path, _ in collector.requests} == {"/v1/traces"}
    found = [span for _, span in collector.spans]
    assert len(found) == len(spans(world.course))
    assert {span.trace_id for span in found} == {trace_id(CALL).to_bytes(16, "big")}
    (root,) = [span for span in found if not span.parent_span_id]
    assert root.name == "call"
    assert {span.parent_span_id for span in found} - {b""} == {root.span_id}
    record = world.course.record
    assert root.start_time_unix_nano == record.started_ms * 1_000_000
    assert root.end_time_unix_nano == record.ended_ms * 1_000_000


def test_it_says_who_tells_it(collector):
    sender = telemetry.Telemetry(collector.url)
    sender.tell(HEAD, answered().journal)
    sender.close()

    resource, _ = collector.spans[0]
    told = {each.key: each.value.string_value for each in resource.attributes}
    assert told["service.name"] == "ringmaster"
    assert told["service.version"] == __version__


def test_what_cannot_be_read_is_told_to_nobody_and_hurts_nobody(collector):
    sender = telemetry.Telemetry(collector.url)
    sender.tell(HEAD, b"nonsense")
    sender.close()
    assert collector.requests == []


@pytest.mark.django_db
@pytest.mark.parametrize("keeping", [Keeping(7, 30), Keeping(0, 0)])
def test_the_writer_of_traces_tells_what_it_took_kept_or_not(clean_redis, redis_url, keeping):
    told = []
    clean_redis.delete(STREAM, LEASE_KEY)
    journal = answered().journal
    clean_redis.xadd(STREAM, {"head": HEAD.to_json(), "journal": journal})
    clean_redis.xadd(STREAM, {"head": b"nonsense", "journal": journal})
    writer = TraceWriter(
        redis_url, "records@test", keeping, block_ms=10, tell=lambda *call: told.append(call)
    )
    try:
        writer.write_once()
    finally:
        writer.close()

    assert told == [(HEAD, journal)]
    assert clean_redis.xlen(STREAM) == 0


def test_a_collector_that_is_away_is_not_waited_for(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    sender = telemetry.Telemetry(f"http://{LOOPBACK}:{free_port()}/v1/traces")
    journal = answered().journal
    for _ in range(3):
        sender.tell(HEAD, journal)
    sender.close()


def test_it_is_off_unless_an_address_is_named():
    tell, end = telemetry.teller("")
    assert tell is None
    end()


@pytest.mark.parametrize("text", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://"])
def test_a_wrong_address_is_refused_with_a_sentence(text):
    with pytest.raises(ImproperlyConfigured, match="OTLP_TRACES_URL must begin with http"):
        environment.web_address("OTLP_TRACES_URL", text)


def test_without_its_libraries_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(
        __import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None
    )
    with pytest.raises(ImproperlyConfigured, match=r"docs/install/telemetry\.txt"):
        telemetry.Telemetry("http://127.0.0.1:4318/v1/traces")
