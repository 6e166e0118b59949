"""A way to Redis that fails when it is told to: a lost reply, an outage."""

import asyncio
from urllib.parse import urlsplit

from tests.lab.ports import LOOPBACK, free_port

CHUNK = 65536


class FaultyRedis:
    """A TCP proxy before the Redis at ``url``.

    ``async with FaultyRedis(url) as way:`` gives one that is up; connect to ``way.url``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or LOOPBACK, parts.port or 6379
        self._own_port = free_port()
        self.url = f"redis://{LOOPBACK}:{self._own_port}{parts.path}"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._lose = False
        self.lost = 0
        """Replies that were lost so far."""

    def lose_next_reply(self) -> None:
        """What Redis answers next never arrives, and the connection breaks."""
        self._lose = True

    async def up(self) -> None:
        """Take connections, again if need be."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self._own_port)

    async def down(self) -> None:
        """Refuse connections, and break those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        # The ends of the broken connections are taken in before anybody tries again.
        await asyncio.sleep(0)

    async def __aenter__(self) -> "FaultyRedis":
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._forward(reader, back), self._reply(there, writer))
        except OSError:
            pass  # One end broke, which ends the other.
        finally:
            self._writers -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if self._lose:
                self._lose = False
                self.lost += 1
                break
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError
