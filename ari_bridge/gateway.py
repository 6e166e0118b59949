"""Commands to Asterisk over ARI's REST, each with what its answers really mean.

Asterisk's answers need reading with care (measured on 22.10):
  * create   409 means "this id exists" or, on a connection that has seen a 409 before, "no such
             endpoint": only a look at the channel tells. 500 is a bad endpoint as often as a fault.
  * add      422 for a few milliseconds after create, until the channel has entered Stasis.
  * dial     204 comes before the INVITE; a second dial before the 180 kills the channel.
             The ringing reaches A through the bridge, not through the dial.
  * delete   404 means that the purpose is fulfilled; a bridge that is just going gives 409.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from django.conf import settings
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential

from ari_bridge.node import AriNode
from calls.commands import (
    AddToBridge,
    Answer,
    AriCommand,
    CreateBridge,
    CreateChannel,
    DestroyBridge,
    Dial,
    Hangup,
    LimitChannel,
    LookUp,
)
from calls.events import CommandDone, CommandFailed, Listed

ENTER_S = 1.5
"""How long a created channel may take to enter Stasis before adding it is given up."""
AGAIN_S = 1.5
"""How long a request that may be repeated is repeated while Asterisk cannot be reached."""
CONNECTIONS = 64
"""Connections to one node from one process; Asterisk's default sessionlimit is 100."""
KEPT_S = 12
"""An idle connection is given up after this time, before Asterisk's default session_keep_alive of
15 s closes it under a request."""

_NOT_YET = (409, 422)
_JOINING = "put the legs into the bridge"

Result = CommandDone | CommandFailed | Listed


@dataclass(frozen=True, slots=True)
class Answered:
    """Asterisk's answer to one request."""

    status: int
    body: bytes

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


class NotYet(Exception):
    """The channel has not entered Stasis yet."""

    def __init__(self, answer: Answered) -> None:
        super().__init__(answer.message)
        self.answer = answer


class AriClient:
    """REST requests to one node over kept connections."""

    def __init__(self, node: AriNode) -> None:
        self.node = node
        self._session = aiohttp.ClientSession(
            base_url=node.url,
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT_S),
            headers={"Authorization": aiohttp.encode_basic_auth(node.user, node.password)},
            timeout=aiohttp.ClientTimeout(total=2, sock_connect=1),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )

    async def request(
        self, method: str, path: str, params: dict[str, str] | None = None, body: Any = None
    ) -> Answered:
        """Send one request under /ari. Raises Unreachable when no answer came."""
        data = None if body is None else orjson.dumps(body)
        headers = None if body is None else {"Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, "/ari" + path, params=params, data=data, headers=headers
            ) as response:
                return Answered(response.status, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(self._sentence(error), sent=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(self._sentence(error), sent=True) from error

    async def repeatable(
        self, method: str, path: str, params: dict[str, str] | None = None, body: Any = None
    ) -> Answered:
        """Send a request that may be sent twice, again and again for a while if need be."""
        try:
            return await self.request(method, path, params, body)
        except Unreachable:
            # Asterisk may only have closed a connection that idled.
            pass
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unreachable),
            stop=stop_after_delay(AGAIN_S),
            wait=wait_exponential(multiplier=0.01, max=0.4),
            reraise=True,
        ):
            with attempt:
                return await self.request(method, path, params, body)
        raise AssertionError("AsyncRetrying gives an answer or raises")

    async def close(self) -> None:
        await self._session.close()

    def _sentence(self, error: Exception) -> str:
        what = str(error) or type(error).__name__
        return f"node {self.node.name} could not be reached at {self.node.url}: {what}"


class AriGateway:
    """The gateway of calls/gateway.py to the real Asterisks named in ARI_NODES."""

    def __init__(
        self,
        nodes: dict[str, AriNode] | None = None,
        app: str | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._nodes = settings.ARI_NODES if nodes is None else nodes
        self._app = settings.ARI_APP if app is None else app
        self._clients: dict[str, AriClient] = {}
        self._clock_ms = clock_ms

    async def carry_out(self, node: str, command: AriCommand, again: bool) -> Result:
        """Do it and say what came of it; see calls.gateway.Gateway."""
        known = self._nodes.get(node)
        if known is None:
            reason = f"node {node} is not in ARI_NODES of this worker"
            return CommandFailed(self._clock_ms(), command, reason)
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = AriClient(known)
        try:
            if isinstance(command, Dial):
                return await self._dial(client, command, again)
            return await _HOW[type(command)](self, client, command)
        except Unreachable as error:
            return CommandFailed(self._clock_ms(), command, str(error), unknown=error.sent)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    # --- One method for each command ---

    async def _create_channel(self, client: AriClient, command: CreateChannel) -> Result:
        variables = {"TIMEOUT(absolute)": str(command.limit_s)}
        # What B is shown is the identity its channel is connected to; i: without telling it yet.
        if command.caller_number:
            variables["CONNECTEDLINE(num,i)"] = command.caller_number
        else:
            variables["CONNECTEDLINE(pres,i)"] = "prohib"
        answer = await client.repeatable(
            "POST",
            "/channels/create",
            {
                "endpoint": command.endpoint,
                "app": self._app,
                "channelId": command.channel_id,
                "originator": command.originator,
            },
            {"variables": variables},
        )
        if answer.status == 409 and await self._exists(
            client, f"/channels/{_q(command.channel_id)}"
        ):
            return self._done(command)
        if answer.status in (409, 500):
            reason = (
                f"node {client.node.name} could not make a channel of {command.endpoint}: "
                "no such endpoint there, or its settings are wrong"
            )
            return CommandFailed(self._clock_ms(), command, reason)
        return self._judge(command, answer, f"create {command.endpoint}")

    async def _create_bridge(self, client: AriClient, command: CreateBridge) -> Result:
        path = f"/bridges/{_q(command.bridge_id)}"
        answer = await client.repeatable("POST", path, {"type": "mixing"})
        if answer.status == 409 and await self._exists(client, path):
            return self._done(command)
        return self._judge(command, answer, "create the bridge")

    async def _add_to_bridge(self, client: AriClient, command: AddToBridge) -> Result:
        path = f"/bridges/{_q(command.bridge_id)}/addChannel"
        params = {
            "channel": ",".join(command.channel_ids),
            # Else A's own number and name would take the place of what B is to be shown.
            "inhibitConnectedLineUpdates": "true",
        }
        answer = await client.repeatable("POST", path, params)
        if answer.status not in _NOT_YET:
            return self._judge(command, answer, _JOINING)
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(NotYet),
                stop=stop_after_delay(ENTER_S),
                wait=wait_exponential(multiplier=0.002, max=0.1),
                reraise=True,
            ):
                with attempt:
                    answer = await client.repeatable("POST", path, params)
                    if answer.status in _NOT_YET:
                        raise NotYet(answer)
        except NotYet as late:
            answer = late.answer
        return self._judge(command, answer, _JOINING)

    async def _dial(self, client: AriClient, command: Dial, again: bool) -> Result:
        channel = f"/channels/{_q(command.channel_id)}"
        if again:
            look = await client.repeatable("GET", channel)
            if look.ok and orjson.loads(look.body).get("state") in ("Ringing", "Up"):
                return self._done(command)
            reason = "a worker died while it dialled; whether B was dialled is not known"
            return CommandFailed(self._clock_ms(), command, reason)
        # Naming A as its caller would put A's own number and name in place of what B is shown.
        params = {"timeout": str(command.timeout_s)}
        answer = await client.request("POST", channel + "/dial", params)
        return self._judge(command, answer, "dial")

    async def _answer(self, client: AriClient, command: Answer) -> Result:
        path = f"/channels/{_q(command.channel_id)}/answer"
        return self._judge(command, await client.repeatable("POST", path), "answer")

    async def _limit_channel(self, client: AriClient, command: LimitChannel) -> Result:
        path = f"/channels/{_q(command.channel_id)}/variable"
        params = {"variable": "TIMEOUT(absolute)", "value": str(command.limit_s)}
        return self._judge(command, await client.repeatable("POST", path, params), "limit")

    async def _hangup(self, client: AriClient, command: Hangup) -> Result:
        path = f"/channels/{_q(command.channel_id)}"
        params = {"reason_code": str(command.cause)}
        answer = await client.repeatable("DELETE", path, params)
        return self._judge(command, answer, "hang up")

    async def _destroy_bridge(self, client: AriClient, command: DestroyBridge) -> Result:
        path = f"/bridges/{_q(command.bridge_id)}"
        answer = await client.repeatable("DELETE", path)
        if answer.status == 409 and not await self._exists(client, path):
            return CommandDone(self._clock_ms(), command, gone=True)
        return self._judge(command, answer, "destroy the bridge")

    async def _look_up(self, client: AriClient, command: LookUp) -> Result:
        """All of it or nothing: a partial look must not make a live channel seem gone."""
        at_ms = self._clock_ms()
        paths = [f"/channels/{_q(channel)}" for channel in command.channel_ids]
        paths.append(f"/bridges/{_q(command.bridge_id)}")
        answers = await asyncio.gather(*(client.repeatable("GET", path) for path in paths))
        for answer in answers:
            if not answer.ok and answer.status != 404:
                return self._judge(command, answer, "look at the call")
        channels = {
            channel: str(orjson.loads(answer.body)["state"])
            for channel, answer in zip(command.channel_ids, answers, strict=False)
            if answer.ok
        }
        return Listed(at_ms, channels, bridge=answers[-1].ok)

    # --- Reading answers ---

    def _done(self, command: AriCommand) -> CommandDone:
        return CommandDone(self._clock_ms(), command)

    async def _exists(self, client: AriClient, path: str) -> bool:
        return (await client.repeatable("GET", path)).ok

    def _judge(self, command: AriCommand, answer: Answered, what: str) -> Result:
        if answer.ok:
            return self._done(command)
        ends = isinstance(command, Hangup | DestroyBridge | Answer | LimitChannel)
        if answer.status == 404 and ends:
            return CommandDone(self._clock_ms(), command, gone=True)
        reason = f"Asterisk refused to {what}: {answer.status} {answer.message}"
        return CommandFailed(self._clock_ms(), command, reason, unknown=answer.status >= 500)


_How = Callable[[AriGateway, AriClient, Any], Coroutine[Any, Any, Result]]
_HOW: dict[type, _How] = {
    CreateChannel: AriGateway._create_channel,
    CreateBridge: AriGateway._create_bridge,
    AddToBridge: AriGateway._add_to_bridge,
    Answer: AriGateway._answer,
    LimitChannel: AriGateway._limit_channel,
    Hangup: AriGateway._hangup,
    DestroyBridge: AriGateway._destroy_bridge,
    LookUp: AriGateway._look_up,
}


def _q(channel_or_bridge_id: str) -> str:
    return quote(channel_or_bridge_id, safe="")


@asynccontextmanager
async def client_of(node: AriNode) -> AsyncIterator[AriClient]:
    """A client that is closed at the end of the block."""
    client = AriClient(node)
    try:
        yield client
    finally:
        await client.close()
