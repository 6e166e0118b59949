"""Who is measured: the bare program over HTTP and over the WebSocket, and Ringmaster whole."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import services
from tests.lab.asterisk import Asterisk
from tests.lab.bench.product import Product
from tests.lab.processes import Child
from tests.lab.waiting import wait_for

BARE_HTTP = "bare, HTTP"
BARE_SOCKET = "bare, WebSocket"
RINGMASTER = "Ringmaster"


@dataclass(frozen=True)
class Contestant:
    """Something that serves calls now."""

    name: str
    pids: Mapping[str, int]
    """Its processes, whose CPU is its cost."""
    settle: Callable[[], None]
    """Returns when the last call is wholly over, CDRs included."""
    product: Product | None = None
    """Ringmaster, to look at what it wrote."""


@contextmanager
def bare(folder: Path, asterisk: Asterisk, *, rest: str) -> Iterator[Contestant]:
    """The bare program; ``rest`` is http or websocket."""
    endpoint = "PJSIP/{number}@carrier-a"
    command = [sys.executable, "-m", "tests.lab.bare", asterisk.ari_url, endpoint, "--rest", rest]
    program = Child("bare program", command, folder / f"bare-{rest}.log")
    name = BARE_SOCKET if rest == "websocket" else BARE_HTTP
    try:
        wait_for(asterisk.has_app, timeout_s=20, failure=program.log_tail)
        yield Contestant(name, {"bare": program.pid}, asterisk.wait_until_empty)
    finally:
        program.stop()


@contextmanager
def ringmaster(
    folder: Path, asterisk: Asterisk, settings: Mapping[str, str] | None = None
) -> Iterator[Contestant]:
    """Every process of the Procfile but the admin, limits on account and trunk, PostgreSQL."""
    server = services.Redis().start()
    try:
        with services.database_url() as database_url:
            product = Product(folder, asterisk, server, database_url, settings)
            try:
                product.start()
                yield Contestant(RINGMASTER, product.pids, product.settle, product)
            finally:
                product.stack.stop()
    finally:
        server.stop()
