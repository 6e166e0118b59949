"""REST requests over a WebSocket instead of HTTP (Asterisk 22.4 and later): half the cost.

Asterisk answers the requests of one socket one after another, in order, so a call keeps to one
socket, several calls share it, and a process has a few (`SOCKETS`). Each is an ARI application of
its own name, which takes no events and so takes nothing over from the listener's.

What holds for HTTP holds here, and the gateway does not see the difference:
  * a socket that breaks may have delivered everything that was under way (`Unreachable.sent`)
  * while there is no socket, and for what Asterisk refuses to take on one, requests go over HTTP

Doc: https://docs.asterisk.org/Configuration/Interfaces/Asterisk-REST-Interface-ARI/ARI-REST-over-WebSocket/
"""

import asyncio
import logging
import math
from itertools import count
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from ari_bridge.client import ANSWER_S, Answered, AriClient, Unreachable
from ari_bridge.node import AriNode
from calls.deadlines import Deadlines

SOCKETS = 4
"""Sockets of one process to one node. One was measured to choke at about 100 calls a second."""
STUCK_S = 1.0
"""A socket on which an answer takes longer than this is stuck."""
TRY_S = 1.0
"""How long a new socket may take for its first answer. An Asterisk before 22.4 never gives one."""
REST_S = 2.0
"""How long a node is asked by HTTP after its socket could not be made, before it is tried again."""
UNKNOWN_THERE_S = 300.0
"""The same for a node that takes a socket and answers no request on it: it is too old."""
LONGEST_BODY = 60_000
"""Asterisk takes messages of up to 65,535 bytes."""

logger = logging.getLogger(__name__)


class RestSocket(AriClient):
    """Requests to one node over one WebSocket, kept open; over HTTP while there is none."""

    def __init__(self, node: AriNode, app: str) -> None:
        super().__init__(node)
        self._app = f"{app}-rest-{uuid4().hex[:12]}"
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._numbers = count(1)
        self._waiting: dict[str, asyncio.Future[Answered]] = {}
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines()

    async def request(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        body: Any = None,
        until_s: float = math.inf,
    ) -> Answered:
        """Send one request under /ari. Raises Unreachable when no answer came in time."""
        if self._socket is None:
            await self._open()
        message = None if self._socket is None else self._message(method, path, params, body)
        if message is None:
            return await super().request(method, path, params, body, until_s)
        return await self._ask(*message, self._left_s(until_s))

    async def close(self) -> None:
        for task in (self._opening, self._reading):
            if task is not None:
                task.cancel()
        if self._socket is not None:
            await self._socket.close()
        await super().close()

    async def _open(self) -> None:
        """Have a socket, unless that failed a moment ago. Never raises: HTTP is there."""
        if self._opening is None:
            if self._loop.time() < self._not_before:
                return
            self._opening = asyncio.create_task(self._connect())
            self._opening.add_done_callback(self._opened)
        await asyncio.wait([self._opening])

    def _opened(self, opening: "asyncio.Task[None]") -> None:
        self._opening = None
        if not opening.cancelled() and (error := opening.exception()) is not None:
            self._not_before = self._loop.time() + REST_S
            logger.exception(
                "Node %s: its REST socket failed; HTTP is used.", self.node.name, exc_info=error
            )

    async def _connect(self) -> None:
        node = self.node
        try:
            async with asyncio.timeout(TRY_S):
                socket = await self._session.ws_connect(
                    "/ari/events",
                    params={"app": self._app, "subscribeAll": "false"},
                    heartbeat=10,
                    max_msg_size=1 << 20,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._not_before = self._loop.time() + REST_S
            logger.warning("Node %s takes no REST socket (%s); HTTP is used.", node.name, error)
            return
        self._socket = socket
        self._reading = asyncio.create_task(self._read(socket))
        if not await self._answers():
            self._not_before = self._loop.time() + UNKNOWN_THERE_S
            self._socket = None
            await socket.close()
            logger.warning(
                "Node %s answers no requests on a WebSocket: Asterisk 22.4 or newer does. HTTP is "
                "used, at a higher cost.",
                node.name,
            )

    async def _answers(self) -> bool:
        """Whether requests are answered here; it also stops all events but the answers."""
        only_answers = {"allowed": [{"type": "RESTResponse"}]}
        path = f"/applications/{self._app}/eventFilter"
        message = self._message("PUT", path, None, only_answers)
        try:
            async with asyncio.timeout(TRY_S):
                return message is not None and (await self._ask(*message)).ok
        except (Unreachable, TimeoutError):
            return False

    def _message(
        self, method: str, path: str, params: dict[str, str] | None, body: Any
    ) -> tuple[str, str] | None:
        """The request's id and its text; None for one that is too long for a socket."""
        number = str(next(self._numbers))
        request: dict[str, Any] = {
            "type": "RESTRequest",
            "request_id": number,
            "method": method,
            "uri": path[1:],
        }
        if params:
            request["query_strings"] = [
                {"name": name, "value": value} for name, value in params.items()
            ]
        if body is not None:
            request["content_type"] = "application/json"
            request["message_body"] = orjson.dumps(body).decode()
        text = orjson.dumps(request).decode()
        return (number, text) if len(text) <= LONGEST_BODY else None

    async def _ask(self, number: str, text: str, left_s: float = ANSWER_S) -> Answered:
        socket = self._socket
        if socket is None:
            raise Unreachable(self._sentence(ConnectionError("its socket was closed")), sent=False)
        waiter: asyncio.Future[Answered] = self._loop.create_future()
        self._waiting[number] = waiter
        try:
            with self._deadlines.within(left_s):
                await socket.send_str(text)
                return await waiter
        except TimeoutError as error:
            if left_s >= STUCK_S:
                # What was asked after it waits behind it: only another socket helps.
                self._lose(socket, f"no answer within {left_s:.1f} s")
            raise Unreachable(self._sentence(error), sent=True) from error
        except (ConnectionError, aiohttp.ClientError) as error:
            self._lose(socket, str(error))
            raise Unreachable(self._sentence(error), sent=True) from error
        finally:
            self._waiting.pop(number, None)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Hand answers out until the socket ends."""
        try:
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    self._take(orjson.loads(frame.data))
        except (ValueError, KeyError, TypeError) as error:
            logger.error("Node %s sent an answer that is none: %r", self.node.name, error)
        finally:
            self._lose(socket, f"the connection ended ({socket.close_code or 'without a word'})")

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("type") != "RESTResponse":
            return
        waiter = self._waiting.get(message["request_id"])
        if waiter is not None and not waiter.done():
            text = message.get("message_body") or ""
            waiter.set_result(Answered(message["status_code"], text.encode()))

    def _lose(self, socket: aiohttp.ClientWebSocketResponse, why: str) -> None:
        """Give the socket up; whatever was under way on it may have arrived."""
        if self._socket is not socket:
            return
        self._socket = None
        lost = Unreachable(self._sentence(ConnectionError(why)), sent=True)
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(lost)
        closing = asyncio.ensure_future(socket.close())
        closing.add_done_callback(lambda done: done.cancelled() or done.exception())
