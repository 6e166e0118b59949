"""REST requests to one node over HTTP: one request, its answer, and whether it may have arrived.

A request has until a time by `calls.clock.steady_s`, and none is sent past it, also where the
process was frozen meanwhile. There is one timer, ours: aiohttp's own, ending in the same moment,
would swallow the end of whoever waits for us.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import orjson

from ari_bridge.node import AriNode
from calls import metrics
from calls.clock import steady_s

AGAIN_S = 1.5
"""How long a request that may be repeated is repeated while Asterisk cannot be reached."""
ANSWER_S = 2.0
"""How long one answer may take."""
PAUSES_S = (0.01, 0.4)
"""The pauses between repetitions: the first comes at once, then they double from here to there."""
CONNECTIONS = 64
"""Connections to one node from one process; Asterisk's default sessionlimit is 100."""
KEPT_S = 12
"""An idle connection is given up after this time, before Asterisk's default session_keep_alive of
15 s closes it under a request."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Asterisk's answer to one request."""

    status: int
    body: bytes
    repeated: bool = False
    """Whether the request was sent before and its answer, if there was one, lost."""

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def message(self) -> str:
        """Asterisk's own words, for the reason in a record."""
        try:
            return str(orjson.loads(self.body).get("message", ""))
        except (ValueError, AttributeError):
            return self.body[:200].decode(errors="replace")


class Unreachable(Exception):
    """A node could not be reached; ``sent`` says whether the request may have arrived."""

    def __init__(self, text: str, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


class AriClient:
    """REST requests to one node over kept connections."""

    def __init__(self, node: AriNode) -> None:
        self.node = node
        self._session = aiohttp.ClientSession(
            base_url=node.url,
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS, keepalive_timeout=KEPT_S, ssl=node.tls
            ),
            headers={"Authorization": aiohttp.encode_basic_auth(node.user, node.password)},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=1),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )

    async def request(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        body: Any = None,
        until_s: float = math.inf,
    ) -> Answered:
        """Send one request under /ari. Raises Unreachable when no answer came in time."""
        return await self._request(method, path, params, body, self._left_s(until_s))

    async def listing(self, path: str, timeout_s: float) -> Answered:
        """Ask for something long, for which the time of a usual request would not do."""
        return await self._request("GET", path, None, None, timeout_s)

    async def _request(
        self, method: str, path: str, params: dict[str, str] | None, body: Any, left_s: float
    ) -> Answered:
        data = None if body is None else orjson.dumps(body)
        headers = None if body is None else {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(left_s),
                self._session.request(
                    method, "/ari" + path, params=params, data=data, headers=headers
                ) as response,
            ):
                return Answered(response.status, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(self._sentence(error), sent=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(self._sentence(error), sent=True) from error

    async def repeatable(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        body: Any = None,
        until_s: float = math.inf,
    ) -> Answered:
        """Send a request that may be sent twice, again and again for a while if need be."""
        until_s = min(until_s, steady_s() + ANSWER_S)
        last_s = min(until_s, steady_s() + AGAIN_S)
        pause_s, sent = 0.0, False
        while True:
            try:
                answer = await self.request(method, path, params, body, until_s)
                return replace(answer, repeated=True) if sent else answer
            except Unreachable as error:
                # Most often Asterisk has only closed a connection that idled.
                sent = sent or error.sent
                if steady_s() + pause_s >= last_s:
                    raise Unreachable(str(error), sent) from error
            await asyncio.sleep(pause_s)
            pause_s = min(max(2 * pause_s, PAUSES_S[0]), PAUSES_S[1])

    async def close(self) -> None:
        await self._session.close()

    def _left_s(self, until_s: float) -> float:
        """How long a request that is sent now may take. Raises Unreachable past its time."""
        left_s = min(until_s - steady_s(), ANSWER_S)
        if left_s <= 0:
            raise Unreachable(self._sentence(TimeoutError("its time was up")), sent=False)
        return left_s

    def _sentence(self, error: Exception) -> str:
        what = str(error) or type(error).__name__
        return f"node {self.node.name} could not be reached at {self.node.url}: {what}"


class BoundedClient:
    """A node's client for one command: nothing is sent past its time, and it knows the node's."""

    __slots__ = ("_client", "_command", "_until_s", "node", "now_ms")

    def __init__(
        self, client: AriClient, until_s: float, now_ms: Callable[[], int], command: str = "other"
    ) -> None:
        """``command`` is under what its requests are counted."""
        self.node = client.node
        self.now_ms = now_ms
        self._client = client
        self._until_s = until_s
        self._command = command

    async def request(
        self, method: str, path: str, params: dict[str, str] | None = None, body: Any = None
    ) -> Answered:
        """See AriClient.request."""
        return await self._counted(self._client.request(method, path, params, body, self._until_s))

    async def repeatable(
        self, method: str, path: str, params: dict[str, str] | None = None, body: Any = None
    ) -> Answered:
        """See AriClient.repeatable."""
        return await self._counted(
            self._client.repeatable(method, path, params, body, self._until_s)
        )

    async def _counted(self, asking: Awaitable[Answered]) -> Answered:
        asked_s, status = steady_s(), "cancelled"
        try:
            answer = await asking
            status = str(answer.status)
            return answer
        except Unreachable:
            status = "unreachable"
            raise
        finally:
            metrics.requested(self._command, status, steady_s() - asked_s)


@asynccontextmanager
async def client_of(node: AriNode) -> AsyncIterator[AriClient]:
    """A client that is closed at the end of the block."""
    client = AriClient(node)
    try:
        yield client
    finally:
        await client.close()
