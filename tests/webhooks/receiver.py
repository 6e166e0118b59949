"""A receiver as a customer would write one: the standardwebhooks library checks its messages."""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Receiver:
    """An HTTP server on loopback. ``answer`` says what a request is answered, with status first."""

    answer: Callable[[dict[str, Any]], Answer] = lambda message: (200, {}, b"ok")
    secret: str = "whsec_" + "A" * 44
    attempts: Counter[str] = field(default_factory=Counter)
    """By message id, each with a right signature."""
    taken: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """What was answered by 2xx, by message id."""
    wrong: list[str] = field(default_factory=list)
    requests: int = 0

    def __enter__(self) -> "Receiver":
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def take(self, headers: dict[str, str], body: bytes) -> Answer:
        with self._lock:
            self.requests += 1
        try:
            message = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError as error:
            self.wrong.append(str(error))
            return 401, {}, b"wrong signature"
        status, more, text = self.answer(message)
        with self._lock:
            self.attempts[headers["webhook-id"]] += 1
            if status < 300:
                self.taken[headers["webhook-id"]].append(message)
        return status, more, text


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100


def failing(share: float, seed: int = 7) -> Callable[[dict[str, Any]], Answer]:
    """Fails that share of requests."""
    dice = random.Random(seed)
    return lambda message: (500, {}, b"oops") if dice.random() < share else (200, {}, b"ok")


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, text = receiver.take(headers, body)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
