"""Listening to one node: the WebSocket, kept open, drained before all else.

A connection is good only while Asterisk still sends events on it. Asterisk drops a session whose
reader was too slow without closing TCP, and then the application looks active and hears nothing.
So besides WebSocket pings the listener posts a user event every few seconds and wants it back.
"""

import asyncio
import logging
from uuid import uuid4

import aiohttp
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from ari_bridge.decoding import EVENT_TYPES, decode, parse
from ari_bridge.gateway import AriClient, Unreachable, client_of
from ari_bridge.node import AriNode
from ari_bridge.poster import Poster
from ari_bridge.quiet import OncePerSecond
from ari_bridge.reconcile import Reconciler
from calls import ids

HEARTBEAT_S = 10.0
"""Between two WebSocket pings; without a pong in half of it the connection is given up."""
ECHO_S = 5.0
"""Between two user events that must come back, each before the next is due."""
RECONCILE_S = 30.0
"""Between two comparisons of what we remember with what the node holds."""
ECHO_NAME = "ringmaster-echo"
LONGEST_WAIT_S = 5.0
"""The longest pause between two attempts to connect."""

logger = logging.getLogger(__name__)


class NodeLost(Exception):
    """There is no connection to the node; the text is a sentence that says why."""


class Listener:
    """Listens to one node until it is cancelled or another listener takes over."""

    def __init__(self, node: AriNode, app: str, poster: Poster, reconciler: Reconciler) -> None:
        self._node = node
        self._app = app
        self._poster = poster
        self._reconciler = reconciler
        self._say = OncePerSecond(logger)
        self._echo_sent = ""
        self._echo_heard = ""

    async def run(self) -> None:
        """Listen, and connect again whenever the connection is lost.

        Returns when another listener for the same application name has taken over.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=2)
        async with aiohttp.ClientSession(timeout=timeout) as http, client_of(self._node) as ari:
            while True:
                socket = await self._connect_at_last(http, ari)
                try:
                    if await self._serve(socket, ari):
                        return
                except NodeLost as lost:
                    self._say.error("%s", lost)
                finally:
                    await socket.close()

    async def _connect_at_last(
        self, http: aiohttp.ClientSession, ari: AriClient
    ) -> aiohttp.ClientWebSocketResponse:
        def say(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self._say.error("%s", error)

        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(NodeLost),
            wait=wait_random_exponential(multiplier=0.2, max=LONGEST_WAIT_S),
            before_sleep=say,
        ):
            with attempt:
                return await self._connect(http, ari)
        raise AssertionError("AsyncRetrying ends with a connection")

    async def _connect(
        self, http: aiohttp.ClientSession, ari: AriClient
    ) -> aiohttp.ClientWebSocketResponse:
        node = self._node
        try:
            socket = await http.ws_connect(
                f"{node.url}/ari/events",
                params={"app": self._app, "subscribeAll": "false"},
                headers={"Authorization": aiohttp.encode_basic_auth(node.user, node.password)},
                heartbeat=HEARTBEAT_S,
                max_msg_size=0,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise NodeLost(self._refused(error.status)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NodeLost(
                f"Node {node.name} cannot be reached at {node.url} ({error or 'no answer'}): check "
                "that Asterisk runs there with http.conf enabled, and the address in ARI_NODES."
            ) from error
        try:
            await self._filter_events(ari)
        except NodeLost:
            await socket.close()
            raise
        logger.info("Listening to node %s at %s as %s.", node.name, node.url, self._app)
        return socket

    def _refused(self, status: int) -> str:
        node = self._node
        if status == 401:
            return (
                f"Node {node.name} refuses the user {node.user!r} or its password (401): check "
                "ARI_NODES against ari.conf on that node."
            )
        if status == 404:
            return (
                f"Node {node.name} answers at {node.url} but has no ARI there (404): check that "
                "ari.conf says enabled = yes and that ARI_NODES names the root of its HTTP server."
            )
        return f"Node {node.name} refuses the WebSocket with HTTP status {status}."

    async def _filter_events(self, ari: AriClient) -> None:
        """Let Asterisk send what matters only. It forgets the filter with its last connection."""
        allowed = {"allowed": [{"type": name} for name in EVENT_TYPES]}
        try:
            answer = await ari.request(
                "PUT", f"/applications/{self._app}/eventFilter", body=allowed
            )
        except Unreachable as error:
            raise NodeLost(f"The event filter could not be set: {error}.") from error
        if not answer.ok:
            raise NodeLost(
                f"Node {self._node.name} takes no event filter ({answer.status} {answer.message}): "
                "Asterisk 22 or newer is needed."
            )

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse, ari: AriClient) -> bool:
        """Read until the connection is lost (NodeLost) or taken over (True)."""
        side = [
            asyncio.create_task(self._echo(socket, ari)),
            asyncio.create_task(self._reconcile(ari)),
        ]
        try:
            return await self._read(socket)
        finally:
            await _end(side)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        async for frame in socket:
            if frame.type is aiohttp.WSMsgType.TEXT and self._handle(frame.data):
                logger.warning(
                    "Another listener took over the application %s on node %s; this one ends.",
                    self._app,
                    self._node.name,
                )
                return True
        raise NodeLost(
            f"Node {self._node.name} closed the connection "
            f"({socket.close_code or 'without a word'}); its calls go on meanwhile."
        )

    def _handle(self, data: str) -> bool:
        """Take in one message; True when it says that another listener took over."""
        try:
            message = parse(data)
            kind = message["type"]
            if kind == "ApplicationReplaced":
                return True
            if kind == "ChannelUserevent":
                self._echo_heard = message.get("userevent", {}).get("token", self._echo_heard)
                return False
            event = decode(message)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._say.error(
                "Node %s sent an event that is not as ARI describes it, it is left out: %.300r",
                self._node.name,
                data,
            )
            return False
        if event is not None:
            a_channel = ids.a_channel_of(event.channel_id)
            self._poster.add(ids.call_id(self._node.name, a_channel), event)
        return False

    async def _echo(self, socket: aiohttp.ClientWebSocketResponse, ari: AriClient) -> None:
        """Close the connection when a user event does not come back on it."""
        path = f"/events/user/{ECHO_NAME}"
        while True:
            self._echo_sent = uuid4().hex
            try:
                variables = {"variables": {"token": self._echo_sent}}
                await ari.request("POST", path, {"application": self._app}, variables)
            except Unreachable as error:
                self._say.error("%s.", error)
            await asyncio.sleep(ECHO_S)
            if self._echo_heard != self._echo_sent:
                self._say.error(
                    "Node %s sends no events any more though the connection stands; connecting "
                    "again.",
                    self._node.name,
                )
                await socket.close()
                return

    async def _reconcile(self, ari: AriClient) -> None:
        while True:
            try:
                await self._reconciler.run(self._node.name, ari)
            except Exception:
                # A fault that nobody foresaw must not end all comparisons to come in silence.
                logger.exception("Node %s could not be compared.", self._node.name)
            await asyncio.sleep(RECONCILE_S)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel the tasks until they have ended.

    Once may not do: asyncio.wait_for of Python 3.11, with which redis-py sends, loses a
    cancellation that comes when the sending is just done.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
