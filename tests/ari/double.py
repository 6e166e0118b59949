"""An ARI double: the part of Asterisk's REST interface and WebSocket that Ringmaster rests on.

It does what a real Asterisk 22.10 was measured to do, quirks included, and test_the_contract.py
holds both to it. Beyond that it fails on demand (`AriDouble.fail`), and the far ends of its
channels do what a test says (`ring`, `answer`, `end`).

Endpoints: `PJSIP/alice` is a phone that waits for the test; `Local/silent@ringmaster` leads
nowhere; `Local/<number>@monkeys` answers when it is dialled; `PJSIP/<number>@carrier-a` waits for
the test; there are no others.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import ClientError, ClientSession, WSCloseCode, encode_basic_auth, web

from ari_bridge.node import AriNode
from tests.lab.ports import LOOPBACK

USER, PASSWORD = "ringmaster", "a long random password"
ENDPOINT = re.compile(
    r"PJSIP/alice|Local/silent@ringmaster|Local/[^@/]+@monkeys|PJSIP/[^@/]+@carrier-a"
)
STALL_S = 30.0


@dataclass
class Channel:
    """One channel. ``in_stasis`` lags a little behind its creation, as it does in Asterisk."""

    id: str
    name: str
    exten: str
    app: str
    state: str = "Down"
    in_stasis: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    caller: dict[str, str] = field(default_factory=lambda: {"name": "", "number": ""})
    accountcode: str = ""
    created: str = field(default_factory=lambda: _now())
    timer: asyncio.TimerHandle | None = None
    dials: int = 0
    """How many INVITEs went out."""

    def to_json(self) -> dict[str, Any]:
        app_name, app_data = ("Stasis", self.app) if self.in_stasis else ("", "")
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "protocol_id": "",
            "caller": self.caller,
            "connected": {"name": "", "number": ""},
            "accountcode": self.accountcode,
            "dialplan": {
                "context": "default",
                "exten": self.exten,
                "priority": 1,
                "app_name": app_name,
                "app_data": app_data,
            },
            "creationtime": self.created,
            "language": "en",
        }


@dataclass
class App:
    """One ARI application and the connection that its events go to."""

    socket: web.WebSocketResponse
    allowed: list[str] | None = None


@dataclass
class Fault:
    """What happens instead of the next answer to a matching request."""

    method: str
    path: re.Pattern[str]
    kind: str | int
    times: int


class AriDouble:
    """One node. ``async with AriDouble() as double:`` gives one that is up."""

    def __init__(self, port: int = 0) -> None:
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, list[str]] = {}
        self.bridge_names: dict[str, str] = {}
        self.apps: dict[str, App] = {}
        self.requests: list[str] = []
        """``METHOD /path`` of all requests with the right password, in order."""
        self.refused = 0
        """Requests with a wrong password so far."""
        self.connections = 0
        """WebSockets taken so far."""
        self.copies: dict[str, int] = {}
        """How often an event of this type is sent: 0 loses it, 2 doubles it."""
        self.deaf = False
        """Sends no event any more, though the connection stands, as after a write that took too
        long."""
        self.answers_on_sockets = True
        """Answers REST requests that come on a WebSocket, as Asterisk does from 22.4."""
        self.version = "22.10.1~dfsg+~cs6.15.60671435-1"
        """As the real one tells it, Debian's additions included."""
        self.clock_ahead = timedelta()
        """By how much its clock is ahead, as `ping` tells it."""
        self.holds_entry = False
        """Created channels do not enter Stasis until `let_enter`."""
        self._dissolving: set[str] = set()
        self._faults: list[Fault] = []
        self._refused_on: set[int] = set()
        self._changed = asyncio.Condition()
        self._sends: asyncio.Queue[tuple[web.WebSocketResponse, bytes]] = asyncio.Queue()
        self._numbers: Iterator[int] = iter(range(1_000_000))
        self._runner: web.AppRunner | None = None
        self._port = port
        self._sender: asyncio.Task[None] | None = None

    @property
    def node(self) -> AriNode:
        return AriNode("double", f"http://{LOOPBACK}:{self._port}", USER, PASSWORD)

    # --- Faults on demand ---

    def fail(self, method: str, path: str, kind: str | int, times: int = 1) -> None:
        """Let the next requests fail whose path (after /ari) matches the regular expression.

        ``kind``: an HTTP status; ``lost reply`` (it is done, and the connection breaks);
        ``dropped`` (it is not done, and the connection breaks); ``stalled`` (no answer).
        """
        self._faults.append(Fault(method, re.compile(path), kind, times))

    async def drop_sockets(self) -> None:
        """Close every WebSocket."""
        for app in list(self.apps.values()):
            await app.socket.close(code=WSCloseCode.GOING_AWAY)

    async def send_raw(self, app: str, text: str) -> None:
        """Send any text as if it were an event."""
        await self._sends.put((self.apps[app].socket, text.encode()))

    # --- What the far ends do ---

    def enter(
        self, channel: str, app: str = "ringmaster", exten: str = "33123", **facts: Any
    ) -> None:
        """A caller's channel enters Stasis."""
        name = f"PJSIP/alice-{next(self._numbers):08x}"
        made = Channel(channel, name, exten, app, "Ring", **facts)
        self.channels[channel] = made
        self._enter(made)

    def let_enter(self) -> None:
        """Let channels enter Stasis that were held back."""
        self.holds_entry = False
        for channel in self.channels.values():
            self._enter(channel)

    def ring(self, channel: str) -> None:
        self._state(self.channels[channel], "Ringing")
        self._dial_event(self.channels[channel], "RINGING")

    def progress(self, channel: str) -> None:
        self._dial_event(self.channels[channel], "PROGRESS")

    def answer(self, channel: str) -> None:
        self._state(self.channels[channel], "Up")
        self._dial_event(self.channels[channel], "ANSWER")

    def end(
        self,
        channel: str,
        cause: int = 16,
        tech_cause: int | None = None,
        *,
        hangup: dict[str, Any] | None = None,
        silently: bool = False,
    ) -> None:
        """The channel ends. ``hangup``: fields of its ChannelHangupRequest, {} for a plain BYE;
        ``silently`` sends none, as when a timer ends it."""
        gone = self.channels.pop(channel)
        self.channels.pop(f"{channel};2", None)
        if gone.timer is not None:
            gone.timer.cancel()
        for members in self.bridges.values():
            if channel in members:
                members.remove(channel)
        if not silently:
            self._tell(gone, "ChannelHangupRequest", **(hangup or {}))
        gone.in_stasis = False
        self._tell(gone, "StasisEnd")
        extra = {} if tech_cause is None else {"tech_cause": tech_cause}
        self._tell(gone, "ChannelDestroyed", cause=cause, cause_txt="", **extra)

    # --- Waiting ---

    async def wait_for(self, condition: Callable[[], Any], timeout_s: float = 10) -> None:
        """Wait until the condition holds; it is looked at after every request and connection."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(condition)

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # --- The server ---

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response({"system": {"version": self.version}})

    async def _ping(self, request: web.Request) -> web.Response:
        at = datetime.now(UTC) + self.clock_ahead
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000"
        return web.json_response({"asterisk_id": "double", "ping": "pong", "timestamp": stamp})

    async def __aenter__(self) -> "AriDouble":
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/ari/events", self._events),
                web.post("/ari/events/user/{name}", self._user_event),
                web.get("/ari/applications/{app}", self._get_app),
                web.put("/ari/applications/{app}/eventFilter", self._filter),
                web.get("/ari/asterisk/ping", self._ping),
                web.get("/ari/asterisk/info", self._info),
                web.get("/ari/channels", self._list_channels),
                web.post("/ari/channels/create", self._create),
                web.get("/ari/channels/{id}", self._get_channel),
                web.delete("/ari/channels/{id}", self._delete_channel),
                web.post("/ari/channels/{id}/dial", self._dial),
                web.post("/ari/channels/{id}/answer", self._answer),
                web.get("/ari/channels/{id}/variable", self._get_variable),
                web.post("/ari/channels/{id}/variable", self._set_variable),
                web.get("/ari/bridges", self._list_bridges),
                web.get("/ari/bridges/{id}", self._get_bridge),
                web.post("/ari/bridges/{id}", self._create_bridge),
                web.delete("/ari/bridges/{id}", self._delete_bridge),
                web.post("/ari/bridges/{id}/addChannel", self._add_channel),
                web.post("/ari/bridges/{id}/play", self._play),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._sender = asyncio.create_task(self._send_events())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def down(self) -> None:
        """End it: connections break, and new ones are refused."""
        for channel in self.channels.values():
            if channel.timer is not None:
                channel.timer.cancel()
        if self._sender is not None:
            self._sender.cancel()
            self._sender = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != encode_basic_auth(USER, PASSWORD):
            self.refused += 1
            await self._note()
            return _error(401, "Authentication required")
        path = request.path.removeprefix("/ari")
        self.requests.append(f"{request.method} {path}")
        await self._note()
        kind = self._fault(request.method, path)
        try:
            if isinstance(kind, int):
                return _error(kind, "a fault on demand")
            if kind == "dropped":
                return _break(request)
            if kind == "stalled":
                await asyncio.sleep(STALL_S)
            answer = await handler(request)
            return _break(request) if kind == "lost reply" else answer
        finally:
            await self._note()

    def _fault(self, method: str, path: str) -> str | int | None:
        for fault in self._faults:
            if fault.times and fault.method == method and fault.path.fullmatch(path):
                fault.times -= 1
                return fault.kind
        return None

    # --- Events ---

    async def _events(self, request: web.Request) -> web.StreamResponse:
        name = request.query["app"]
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        before = self.apps.get(name)
        allowed = before.allowed if before else None
        self.apps[name] = App(socket, allowed)
        if before is not None:
            self._send(before.socket, {"type": "ApplicationReplaced"}, name)
        self.connections += 1
        await self._note()
        async with ClientSession() as http:
            async for frame in socket:
                if self.answers_on_sockets and not await self._rest(http, socket, frame.json()):
                    break
        if name in self.apps and self.apps[name].socket is socket:
            del self.apps[name]
        await self._note()
        return socket

    async def _rest(
        self, http: ClientSession, socket: web.WebSocketResponse, asked: dict[str, Any]
    ) -> bool:
        """Answer a request that came on a WebSocket, as one that comes over HTTP.

        False when the connection is to break, as the request's fault says.
        """
        try:
            async with http.request(
                asked["method"],
                f"http://{LOOPBACK}:{self._port}/ari/{asked['uri']}",
                params={each["name"]: each["value"] for each in asked.get("query_strings", ())},
                data=asked.get("message_body"),
                headers={"Authorization": encode_basic_auth(USER, PASSWORD)},
            ) as answer:
                body, status = await answer.text(), answer.status
        except ClientError:
            return False
        reply = {
            "type": "RESTResponse",
            "request_id": asked["request_id"],
            "status_code": status,
            "reason_phrase": "",
            "uri": asked["uri"],
            "message_body": body,
        }
        await socket.send_str(orjson.dumps(reply).decode())
        return True

    async def _user_event(self, request: web.Request) -> web.Response:
        name = request.query["application"]
        if name not in self.apps:
            return _error(404, "Application not found")
        given = (await _body(request)).get("variables", {})
        event = request.match_info["name"]
        self._tell_app(
            name, "ChannelUserevent", eventname=event, userevent={**given, "eventname": event}
        )
        return web.Response(status=204)

    async def _get_app(self, request: web.Request) -> web.Response:
        name = request.match_info["app"]
        if name not in self.apps:
            return _error(404, "Application not found")
        allowed = [{"type": kind} for kind in self.apps[name].allowed or []]
        return web.json_response({"name": name, "events_allowed": allowed})

    async def _filter(self, request: web.Request) -> web.Response:
        name = request.match_info["app"]
        if name in self.apps:
            self.apps[name].allowed = [each["type"] for each in (await _body(request))["allowed"]]
        return await self._get_app(request)

    def _tell(self, channel: Channel, kind: str, **facts: Any) -> None:
        self._tell_app(channel.app, kind, channel=channel.to_json(), **facts)

    def _tell_app(self, name: str, kind: str, **facts: Any) -> None:
        app = self.apps.get(name)
        if app is None or self.deaf or (app.allowed and kind not in app.allowed):
            return
        for _ in range(self.copies.get(kind, 1)):
            self._send(app.socket, {"type": kind, **facts}, name)

    def _send(self, socket: web.WebSocketResponse, message: dict[str, Any], app: str) -> None:
        message |= {"timestamp": _now(), "application": app, "asterisk_id": "double"}
        self._sends.put_nowait((socket, orjson.dumps(message)))

    async def _send_events(self) -> None:
        while True:
            socket, data = await self._sends.get()
            if not socket.closed:
                await socket.send_str(data.decode())

    def _state(self, channel: Channel, state: str) -> None:
        channel.state = state
        self._tell(channel, "ChannelStateChange")

    def _dial_event(self, channel: Channel, status: str) -> None:
        facts = {"dialstatus": status, "dialstring": "", "forward": ""}
        self._tell_app(channel.app, "Dial", peer=channel.to_json(), **facts)

    def _enter(self, channel: Channel) -> None:
        if self.channels.get(channel.id) is channel and not channel.in_stasis:
            channel.in_stasis = True
            self._tell(channel, "StasisStart", args=[])

    # --- Channels ---

    async def _create(self, request: web.Request) -> web.Response:
        answer = await self._make(request, request.query["channelId"])
        channel = self.channels.get(request.query["channelId"])
        if answer.status != 200 or channel is None:
            return answer
        if channel.app not in self.apps:
            asyncio.get_running_loop().call_soon(self.channels.pop, channel.id, None)
        elif not self.holds_entry:
            asyncio.get_running_loop().call_later(0.002, self._enter, channel)
        return answer

    async def _make(self, request: web.Request, name: str) -> web.Response:
        query, variables = request.query, (await _body(request)).get("variables", {})
        if name in self.channels:
            self._refused_on.add(id(request.transport))
            return _error(409, "Channel with given unique ID already exists")
        if ENDPOINT.fullmatch(query["endpoint"]) is None:
            # The error number of an earlier request on the same connection is not reset.
            if id(request.transport) in self._refused_on:
                return _error(409, "Channel with given unique ID already exists")
            return _error(500, "Allocation failed")
        number = query["endpoint"].partition("/")[2].partition("@")[0]
        unique = f"{query['endpoint']}-{next(self._numbers):08x}"
        suffix = ";1" if unique.startswith("Local/") else ""
        channel = Channel(name, unique + suffix, number, query["app"])
        self.channels[name] = channel
        for variable, value in variables.items():
            self._set(channel, variable, value)
        return web.json_response(channel.to_json())

    async def _list_channels(self, request: web.Request) -> web.Response:
        return web.json_response([channel.to_json() for channel in self.channels.values()])

    async def _get_channel(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        return web.json_response(channel.to_json()) if channel else _no_channel()

    async def _delete_channel(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        if channel is None:
            return _no_channel()
        cause = int(request.query.get("reason_code", 16))
        self.end(channel.id, cause, hangup={"cause": 32, "soft": True})
        return web.Response(status=204)

    async def _dial(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        if channel is None:
            return _no_channel()
        if not channel.in_stasis:
            return _error(409, "Channel not in Stasis application")
        if channel.state != "Down":
            return _error(409, "Channel is not in the 'Down' state")
        channel.dials += 1
        if channel.dials > 1:
            self.end(channel.id, 0)
            return web.Response(status=204)
        self._dial_event(channel, "")
        if channel.name.startswith("Local/"):
            other = f"{channel.id};2"
            self.channels[other] = Channel(
                other, channel.name[:-1] + "2", channel.exten, "", state="Up"
            )
            self.answer(channel.id)
        return web.Response(status=204)

    async def _answer(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        if channel is None:
            return _no_channel()
        if channel.state == "Down":
            return _error(412, "Channel in invalid state")
        if channel.state != "Up":
            self._state(channel, "Up")
        return web.Response(status=204)

    async def _get_variable(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        if channel is None:
            return _no_channel()
        variable = request.query["variable"]
        if variable != "TIMEOUT(absolute)":
            if variable not in channel.variables:
                return _error(404, "Provided variable was not found")
            return web.json_response({"value": channel.variables[variable]})
        left_s = 0.0
        if channel.timer is not None:
            left_s = channel.timer.when() - asyncio.get_running_loop().time()
        return web.json_response({"value": f"{left_s:.3f}"})

    async def _set_variable(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        if channel is None:
            return _no_channel()
        if not channel.in_stasis:
            return _error(409, "Channel not in Stasis application")
        self._set(channel, request.query["variable"], request.query["value"])
        return web.Response(status=204)

    def _set(self, channel: Channel, variable: str, value: str) -> None:
        channel.variables[variable] = value
        if variable == "CALLERID(num)":
            channel.caller["number"] = value
        if variable != "TIMEOUT(absolute)":
            return
        if channel.timer is not None:
            channel.timer.cancel()
        loop = asyncio.get_running_loop()
        channel.timer = loop.call_later(float(value), self._time_is_up, channel)

    def _time_is_up(self, channel: Channel) -> None:
        if self.channels.get(channel.id) is channel:
            self.end(channel.id, 0, silently=True)

    def _channel(self, request: web.Request) -> Channel | None:
        return self.channels.get(request.match_info["id"])

    # --- Bridges ---

    def _bridge(self, name: str, members: list[str]) -> dict[str, Any]:
        return {
            "id": name,
            "name": self.bridge_names.get(name, ""),
            "bridge_type": "mixing",
            "channels": members,
            "technology": "simple_bridge",
        }

    async def _list_bridges(self, request: web.Request) -> web.Response:
        return web.json_response([self._bridge(*each) for each in self.bridges.items()])

    async def _get_bridge(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name not in self.bridges:
            return _error(404, "Bridge not found")
        return web.json_response(self._bridge(name, self.bridges[name]))

    async def _create_bridge(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name in self.bridges:
            return _error(409, f"Bridge with id '{name}' already exists")
        self.bridges[name] = []
        self.bridge_names[name] = str((await _body(request)).get("name", ""))
        return web.json_response(self._bridge(name, []))

    async def _delete_bridge(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name in self._dissolving:
            self._dissolving.remove(name)
            return _error(409, "Bridge not in Stasis application")
        if self.bridges.pop(name, None) is None:
            return _error(404, "Bridge not found")
        self._dissolving.add(name)
        return web.Response(status=204)

    async def _play(self, request: web.Request) -> web.Response:
        if request.match_info["id"] not in self.bridges:
            return _error(404, "Bridge not found")
        media = request.query["media"].split(",")
        return web.json_response({"id": "1", "media_uri": media[0], "state": "queued"}, status=201)

    async def _add_channel(self, request: web.Request) -> web.Response:
        members = self.bridges.get(request.match_info["id"])
        if members is None:
            return _error(404, "Bridge not found")
        names = request.query["channel"].split(",")
        if not all(name in self.channels for name in names):
            return _error(400, "Channel not found")
        if not all(self.channels[name].in_stasis for name in names):
            return _error(422, "Channel not in Stasis application")
        members += [name for name in names if name not in members]
        return web.Response(status=204)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _no_channel() -> web.Response:
    return _error(404, "Channel not found")


def _break(request: web.Request) -> web.Response:
    """Close the connection under the request; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _now() -> str:
    now = datetime.now(UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}+0000"


async def _body(request: web.Request) -> dict[str, Any]:
    data = await request.read()
    return dict(orjson.loads(data)) if data else {}
