"""manage.py run_metrics: a process of its own that Prometheus asks."""

import hmac
import logging
import socketserver
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser
from prometheus_client import make_wsgi_app

from calls.store import exporter

logger = logging.getLogger(__name__)


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: one line for each answer says nothing."""


class Command(BaseCommand):
    # All checks would read all pages, which this process does not serve.
    requires_system_checks = (Tags.security,)
    help = (
        "Answer Prometheus at METRICS_BIND with what all processes count. One for each switch; the "
        "web process answers the same at /metrics."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bind",
            metavar="HOST:PORT",
            help=f"instead of METRICS_BIND ({settings.METRICS_BIND})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        host, _, port = (options["bind"] or settings.METRICS_BIND).rpartition(":")
        if not port.isdecimal():
            raise CommandError("--bind needs an address and a port, such as 127.0.0.1:8001.")
        if not settings.METRICS_TOKEN and host not in ("127.0.0.1", "::1", "[::1]", "localhost"):
            raise CommandError(
                f"Whoever reaches {host} would read the names of your accounts and trunks. Set "
                "METRICS_TOKEN, which Prometheus then sends as its bearer token, or bind to "
                "loopback: --bind 127.0.0.1:8001."
            )
        app = _guarded(make_wsgi_app(exporter.registry()), settings.METRICS_TOKEN)
        try:
            server = make_server(host.strip("[]"), int(port), app, _Server, _Handler)
        except OSError as error:
            raise CommandError(
                f"{host}:{port} cannot be listened on: {error}. Choose another by --bind "
                "HOST:PORT, or end what has it."
            ) from error
        with server:
            logger.info("Answering Prometheus at http://%s:%s/metrics.", host, port)
            server.serve_forever()


def _guarded(app: Callable[..., Iterable[bytes]], token: str) -> Callable[..., Iterable[bytes]]:
    """``app``, for those who send the token; for all where there is none."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"It is at /metrics.\n"]
        sent = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        if token and not hmac.compare_digest(sent, f"Bearer {token}".encode()):
            start("401 Unauthorized", [("WWW-Authenticate", "Bearer")])
            return [b"Send METRICS_TOKEN: 'Authorization: Bearer ...'.\n"]
        return app(environ, start)

    return answer
