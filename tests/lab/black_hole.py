"""A way to a server on loopback that may vanish: nothing comes back, and no connection breaks.

That is what a machine that lost its power, a pulled cable or a firewall that forgot its sessions
looks like, and also a server that is frozen: the kernel at the other end takes what is sent.
"""

import contextlib
import selectors
import socket
import threading
from types import TracebackType

from tests.lab.ports import LOOPBACK

CHUNK = 65536
WAIT_S = 10


class BlackHole:
    """A TCP proxy, in a thread of its own, before the server at this port.

    ``with BlackHole(port) as way:`` lets everything through; connect to ``way.port``.
    """

    def __init__(self, port: int) -> None:
        self._there = port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._sockets = [self._listener]
        self._lock = threading.Lock()
        self._vanished = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="black hole", daemon=True)

    def vanish(self) -> None:
        """From now on whatever is sent, by either side, is taken and goes nowhere."""
        with self._lock:
            self._vanished = True

    def come_back(self) -> None:
        """New connections go through. Those that there were stay as dead as their packets."""
        with self._lock:
            for key in list(self._selector.get_map().values()):
                if key.data is not None:
                    self._selector.unregister(key.fileobj)
            self._vanished = False

    def __enter__(self) -> "BlackHole":
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join(WAIT_S)
        self._selector.close()
        for each in self._sockets:
            each.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            for key, _ in self._selector.select(0.05):
                with self._lock, contextlib.suppress(OSError):
                    self._accept() if key.data is None else self._pass_on(key.fileobj, key.data)

    def _accept(self) -> None:
        here, _ = self._listener.accept()
        self._sockets.append(here)
        if self._vanished:
            return
        there = socket.create_connection((LOOPBACK, self._there), WAIT_S)
        self._sockets.append(there)
        self._selector.register(here, selectors.EVENT_READ, there)
        self._selector.register(there, selectors.EVENT_READ, here)

    def _pass_on(self, source: object, sink: socket.socket) -> None:
        assert isinstance(source, socket.socket)
        data = source.recv(CHUNK)
        if not data:
            self._selector.unregister(source)
        if self._vanished:
            return
        if data:
            sink.sendall(data)
        else:
            sink.shutdown(socket.SHUT_WR)
