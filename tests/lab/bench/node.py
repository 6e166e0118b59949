"""An ARI double as a process of its own, with callers: the far side of `make bench-scale`.

    python -m tests.lab.bench.node --port P

Takes one JSON object a line on stdin and answers with one on stdout:

    {"place": 500, "rate": 100, "hold_s": 20, "app": "ringmaster"}
                                                places calls into that application; each is answered
                                                at once, talks so long and is hung up by its caller
    {"hang_up": true}                           ends every call that is up
    {"tell": true}                              answers with what has happened since the last time

An answer has ``up`` (calls), ``events`` sent, ``delays_ms`` (how long each caller's entry took to
the request that creates its B leg), ``channels``, ``bridges``, and the ``applications`` that are
listened to.
"""

import argparse
import asyncio
import sys
import time
from typing import Any

import orjson
import uvloop
from aiohttp import web

from calls import ids
from tests.ari.double import AriDouble

NUMBER = "49301182"


class Node(AriDouble):
    """The double, with callers of its own; it counts what it sends."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.events = 0
        self.delays_ms: list[float] = []
        self._entered: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls = 0

    def place(self, count: int, rate: float, hold_s: float, app: str) -> None:
        """Let callers enter, so many a second."""
        task = asyncio.create_task(self._place(count, rate, hold_s, app))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _place(self, count: int, rate: float, hold_s: float, app: str) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for index in range(count):
            await asyncio.sleep(max(0.0, began + index / rate - loop.time()))
            self._calls += 1
            channel = f"{int(time.time())}.{self._calls}"
            self._entered[channel] = loop.time()
            self.enter(channel, app, exten=NUMBER, accountcode="demo")
            loop.call_later(hold_s, self.hang_up, channel)

    def hang_up(self, channel: str) -> None:
        """The caller hangs up, if the call is still there."""
        if channel in self.channels:
            self.end(channel, hangup={})

    @property
    def callers(self) -> list[str]:
        """Callers' channels that are up."""
        return [each for each in self.channels if not ids.is_created_by_us(each.partition(";")[0])]

    async def _create(self, request: web.Request) -> web.Response:
        entered = self._entered.pop(request.query.get("originator", ""), None)
        if entered is not None:
            now = asyncio.get_running_loop().time()
            self.delays_ms.append((now - entered) * 1000)
        return await super()._create(request)

    async def _dial(self, request: web.Request) -> web.Response:
        answer = await super()._dial(request)
        channel = self._channel(request)
        if answer.status == 204 and channel is not None:
            self.answer(channel.id)
            caller = self.channels.get(ids.a_channel_of(channel.id))
            if caller is not None:
                # In one bridge with B, Asterisk answers A by itself.
                self.answer(caller.id)
        return answer

    def _send(self, socket: web.WebSocketResponse, message: dict[str, Any], app: str) -> None:
        self.events += 1
        super()._send(socket, message, app)

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what a line says."""
        if "place" in order:
            self.place(order["place"], order["rate"], order["hold_s"], order["app"])
        if order.get("hang_up"):
            for channel in self.callers:
                self.hang_up(channel)
        told = {
            "up": len(self.callers),
            "events": self.events,
            "delays_ms": self.delays_ms,
            "channels": len(self.channels),
            "bridges": len(self.bridges),
            "applications": list(self.apps),
        }
        if order.get("tell"):
            self.events, self.delays_ms = 0, []
        return told


async def serve(port: int) -> None:
    """Serve until stdin ends."""
    lines = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    node = Node(port)
    async with node:
        print(orjson.dumps({"ready": True}).decode(), flush=True)
        while line := await lines.readline():
            print(orjson.dumps(node.obey(orjson.loads(line))).decode(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench.node")
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
