"""The yardstick: the simplest correct ARI program with the same scenario, in one process.

No Redis, no Celery, no CDR, no limits. The benchmark runs it beside Ringmaster, on the same
Asterisk and the same calls, to show what the durability costs.

    python -m tests.lab.bare ARI_URL DIAL_STRING [--app ringmaster] [--ring-timeout SECONDS]
                             [--rest http|websocket]

``DIAL_STRING`` holds ``{number}``. ``--rest websocket`` sends the requests on the WebSocket that
the events come on (Asterisk 22.4 and later). Says ``ready.`` when calls may come; ends on SIGTERM.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from itertools import count
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import orjson
import uvloop

EVENTS = ("StasisStart", "StasisEnd", "ChannelStateChange", "ChannelHangupRequest",
          "ChannelDestroyed")  # fmt: skip
OUR_LEG = "dialed"
"""Argument of the application by which a B leg is known; a caller's are the dialplan's."""
ADD_RETRIES = 50
ADD_RETRY_S = 0.002
DEFAULT_CAUSE = 31
"""Normal, unspecified: what A is hung up with when B gave no cause of its own."""


@dataclass
class Call:
    """One call: its caller's channel, and what names the other two objects."""

    a: str
    over: bool = False
    b_up: bool = False

    @property
    def b(self) -> str:
        return f"{self.a}.b1"

    @property
    def bridge(self) -> str:
        return f"{self.a}.br"


class BareProgram:
    """All calls of one Asterisk, by the ids of both their channels."""

    def __init__(
        self, session: aiohttp.ClientSession, app: str, dial_string: str, ring_timeout_s: int
    ) -> None:
        self._session = session
        self._app = app
        self._dial_string = dial_string
        self._ring_timeout_s = ring_timeout_s
        self._calls: dict[str, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def request(self, method: str, path: str, json: Any = None, **query: str | int) -> int:
        """One ARI request; gives the HTTP status, whatever it is."""
        data = None if json is None else orjson.dumps(json)
        url = f"/ari/{path}"
        async with self._session.request(method, url, params=query, data=data) as answer:
            await answer.read()
            return answer.status

    async def run(self) -> None:
        """Serve calls until cancelled or until Asterisk closes the WebSocket."""
        url = f"/ari/events?app={self._app}"
        async with self._session.ws_connect(url, heartbeat=10) as socket:
            allowed = [{"type": name} for name in EVENTS]
            await self.request("PUT", f"applications/{self._app}/eventFilter", {"allowed": allowed})
            print("ready.", flush=True)
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(orjson.loads(message.data))

    def _take(self, event: dict[str, Any]) -> None:
        channel = event.get("channel")
        if channel is None:
            return
        kind, call = event["type"], self._calls.get(channel["id"])
        if kind == "StasisStart":
            if call is None and event["args"] != [OUR_LEG]:
                self._begin(channel)
        elif call is None or call.over:
            return
        elif kind == "ChannelStateChange":
            if channel["state"] == "Up" and channel["id"] == call.b and not call.b_up:
                call.b_up = True
                self._spawn(self._answer(call))
        else:
            # A soft request is a timer's or our own, and its cause is no Q.850 cause.
            cause = None if event.get("soft") else event.get("cause")
            self._spawn(self._end(call, gone=channel["id"], cause=cause))
            call.over = True

    def _begin(self, channel: dict[str, Any]) -> None:
        if channel["dialplan"]["exten"] == "h":
            return
        call = Call(channel["id"])
        self._calls[call.a] = self._calls[call.b] = call
        self._spawn(self._connect(call, channel["dialplan"]["exten"]))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            print(f"A call failed: {task.exception()!r}", file=sys.stderr, flush=True)

    async def _connect(self, call: Call, number: str) -> None:
        endpoint = self._dial_string.format(number=number)
        status, _ = await asyncio.gather(
            self.request(
                "POST",
                "channels/create",
                endpoint=endpoint,
                app=self._app,
                appArgs=OUR_LEG,
                channelId=call.b,
                originator=call.a,
            ),
            self.request("POST", f"bridges/{call.bridge}", type="mixing"),
        )
        if status >= 400:
            await self._end(call)
            return
        for _ in range(ADD_RETRIES):
            added = f"{call.a},{call.b}"
            status = await self.request("POST", f"bridges/{call.bridge}/addChannel", channel=added)
            if status != 422 or call.over:
                break
            await asyncio.sleep(ADD_RETRY_S)
        if not call.over:
            await self.request("POST", f"channels/{call.b}/dial", timeout=self._ring_timeout_s)
        if call.over:
            await self._remove(call)

    async def _answer(self, call: Call) -> None:
        await self.request("POST", f"channels/{call.a}/answer")

    async def _end(self, call: Call, gone: str | None = None, cause: int | None = None) -> None:
        call.over = True
        await self._remove(call, gone, cause)
        # Late events of a call that is over must still find it, so it is kept for a while.
        await asyncio.sleep(5)
        self._calls.pop(call.a, None)
        self._calls.pop(call.b, None)

    async def _remove(self, call: Call, gone: str | None = None, cause: int | None = None) -> None:
        reason = DEFAULT_CAUSE if cause is None else cause
        requests = [self.request("DELETE", f"bridges/{call.bridge}")]
        if gone != call.a:
            requests.append(self.request("DELETE", f"channels/{call.a}", reason_code=reason))
        if gone != call.b:
            requests.append(self.request("DELETE", f"channels/{call.b}"))
        await asyncio.gather(*requests)


class SocketProgram(BareProgram):
    """The same, with its requests on the WebSocket of its events."""

    _socket: aiohttp.ClientWebSocketResponse

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._numbers = count(1)
        self._waiting: dict[str, asyncio.Future[int]] = {}

    async def request(self, method: str, path: str, json: Any = None, **query: str | int) -> int:
        """One ARI request; gives the HTTP status, whatever it is."""
        number = str(next(self._numbers))
        message: dict[str, Any] = {
            "type": "RESTRequest",
            "request_id": number,
            "method": method,
            "uri": path,
            "query_strings": [{"name": name, "value": str(query[name])} for name in query],
        }
        if json is not None:
            message["content_type"] = "application/json"
            message["message_body"] = orjson.dumps(json).decode()
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(orjson.dumps(message).decode())
        status: int = await answered
        return status

    async def run(self) -> None:
        """Serve calls until cancelled or until Asterisk closes the WebSocket."""
        url = f"/ari/events?app={self._app}"
        async with self._session.ws_connect(url, heartbeat=10) as socket:
            self._socket = socket
            allowed = [{"type": name} for name in (*EVENTS, "RESTResponse")]
            path = f"applications/{self._app}/eventFilter"
            filtering = asyncio.ensure_future(self.request("PUT", path, {"allowed": allowed}))
            filtering.add_done_callback(lambda _: print("ready.", flush=True))
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(orjson.loads(message.data))

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "RESTResponse":
            self._waiting.pop(event["request_id"]).set_result(event["status_code"])
        else:
            super()._take(event)


async def serve(options: argparse.Namespace) -> None:
    """Connect and serve calls until SIGTERM or SIGINT."""
    url = urlsplit(options.ari_url)
    auth = aiohttp.encode_basic_auth(cast(str, url.username), cast(str, url.password))
    async with aiohttp.ClientSession(
        f"http://{url.hostname}:{url.port}",
        headers={"Authorization": auth, "Content-Type": "application/json"},
        connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=30),
    ) as session:
        kind: type[BareProgram] = SocketProgram if options.rest == "websocket" else BareProgram
        program = kind(session, options.app, options.dial_string, options.ring_timeout)
        running = asyncio.ensure_future(program.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bare")
    parser.add_argument("ari_url")
    parser.add_argument("dial_string")
    parser.add_argument("--app", default="ringmaster")
    parser.add_argument("--ring-timeout", type=int, default=60)
    parser.add_argument("--rest", choices=("http", "websocket"), default="http")
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
