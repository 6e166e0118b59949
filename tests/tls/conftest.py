"""Certificates made for the test, and servers that show them."""

import contextlib
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.certificates import Certificates, make
from tests.lab.ports import LOOPBACK


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Certificates:
    return make(tmp_path_factory.mktemp("good") / "pki", LOOPBACK, "localhost")


@pytest.fixture(scope="session")
def foreign(tmp_path_factory) -> Certificates:
    """By an authority that nobody here trusts."""
    return make(tmp_path_factory.mktemp("foreign") / "pki", LOOPBACK, "localhost")


@pytest.fixture(scope="session")
def misnamed(tmp_path_factory, good) -> Certificates:
    """For another host."""
    return make(tmp_path_factory.mktemp("misnamed") / "pki", "other.example")


class Listener:
    """Takes TLS connections and keeps what is said on them, once the handshake has succeeded."""

    def __init__(self, certificates: Certificates) -> None:
        self.heard = b""
        self.came = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.cert, certificates.key)
        self._server = socket.create_server((LOOPBACK, 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._server.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain:
                plain.settimeout(2)
                with self._context.wrap_socket(plain, server_side=True) as talk:
                    self.heard += talk.recv(4096)
            self.came.set()

    def close(self) -> None:
        # Closing alone does not end an accept() that waits.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)


@pytest.fixture
def listener() -> Iterator:
    """Gives a server that shows these certificates."""
    open_ones = []

    def listen(certificates):
        server = Listener(certificates)
        open_ones.append(server)
        return server

    yield listen
    for server in open_ones:
        server.close()


def for_user(certificates: Certificates, folder: Path, user: str | None) -> Certificates:
    """Copies that a server running as another user can read."""
    made = []
    for name in (certificates.ca, certificates.cert, certificates.key):
        path = folder / Path(name).name
        shutil.copy(name, path)
        path.chmod(0o600)
        if user:
            shutil.chown(path, user, user)
        made.append(str(path))
    return Certificates(*made)
