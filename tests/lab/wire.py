"""A TCP way from the listeners to Asterisk that can be cut, or that falls silent without a word."""

import asyncio
import threading

from tests.lab.ports import LOOPBACK, free_port

CHUNK = 65536


class Wire:
    """A proxy on a port of its own, in a thread of its own: ``with Wire(port) as wire:``."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self._to_port = to_port
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Break every connection that there is."""
        self._do(self._cut)

    def fall_silent(self) -> None:
        """Carry nothing more to the listeners on the connections that there are, and break none:
        Asterisk's writes are stuck, and then it gives the session up without closing it."""
        self._do(lambda: self._silent.update(self._ends))

    def __enter__(self) -> "Wire":
        self._thread.start()
        self._up.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close)
        self._thread.join(timeout=5)

    def _do(self, what: object) -> None:
        self._loop.call_soon_threadsafe(what)  # type: ignore[arg-type]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._up.set()
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    def _cut(self) -> None:
        for end in list(self._ends):
            end.transport.abort()

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._cut()
        self._loop.call_later(0.1, self._loop.stop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self._to_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._ends |= ends
        ways = [
            asyncio.ensure_future(self._carry(reader, back)),
            asyncio.ensure_future(self._carry(there, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in ends:
                end.transport.abort()
            self._ends -= ends
            self._silent -= ends

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                if writer in self._silent:
                    # Until the listener gives the connection up.
                    await asyncio.Event().wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            return
