"""Commands to Asterisk over ARI's REST, each with what its answers really mean.

Asterisk's answers need reading with care (measured on 22.10):
  * create   409 means "this id exists" or, on a connection that has seen a 409 before, "no such
             endpoint": only a look at the channel tells. 500 is a bad endpoint as often as a fault.
  * add      422 for a few milliseconds after create, until the channel has entered Stasis.
  * variable 409 until the channel has entered Stasis, 404 where it vanished, as nobody listened.
  * dial     the same.
             204 comes before the INVITE; a second dial before the 180 kills the channel.
             The ringing reaches A through the bridge, not through the dial.
  * delete   404 means that the purpose is fulfilled; a bridge that is just going gives 409.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote
from zlib import crc32

import orjson
from django.conf import settings
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential

from ari_bridge.client import Answered, AriClient, BoundedClient, Unreachable
from ari_bridge.clocks import NodeClocks
from ari_bridge.node import AriNode
from ari_bridge.phones import SILENT
from ari_bridge.rest_socket import SOCKETS, RestSocket
from calls import ids
from calls.clock import steady_s
from calls.machine.commands import (
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
    Originate,
    Play,
)
from calls.machine.digest import ORDER_VARIABLE, VARIABLE
from calls.machine.events import CommandDone, CommandFailed, Listed

ENTER_S = 1.5
"""How long a created channel may take to enter Stasis before adding or dialling it is given up."""
LISTENER_S = 1.5
"""How long a phone is created again and again while nobody listens: another is about to."""
LISTENER_PAUSE_S = 0.1

HOPS_HEADER = "X-Ringmaster-Hops"
HOPS_VARIABLE = "RINGMASTER_HOPS"
RUNG_VARIABLE = "RINGMASTER_RUNG"
"""Stands on a phone from just before it is dialled."""

_NOT_YET = (409, 422)
_JOINING = "put the legs into the bridge"

Result = CommandDone | CommandFailed | Listed


class NotYet(Exception):
    """The channel has not entered Stasis yet."""


class AriGateway:
    """The gateway of calls/engine/asterisk.py to the real Asterisks named in ARI_NODES."""

    def __init__(
        self,
        nodes: dict[str, AriNode] | None = None,
        app: str | None = None,
        clock_ms: Callable[[], int] | None = None,
        rest: str | None = None,
    ) -> None:
        self._nodes = settings.ARI_NODES if nodes is None else nodes
        self._app = settings.ARI_APP if app is None else app
        self._over_socket = (settings.ARI_REST if rest is None else rest) == "websocket"
        self._clients: dict[str, tuple[AriClient, ...]] = {}
        self._clocks = NodeClocks()
        self._fixed_ms = clock_ms

    async def carry_out(
        self, node: str, command: AriCommand, again: bool, until_s: float = math.inf
    ) -> Result:
        """Do it and say what came of it; see calls.engine.asterisk.Gateway."""
        known = self._nodes.get(node)
        if known is None:
            reason = f"node {node} is not in ARI_NODES of this worker"
            return CommandFailed(self.now_ms(node), command, reason, of_node=True)
        client = BoundedClient(
            self._client_for(known, command), until_s, partial(self.now_ms, node), command.tag
        )
        try:
            if isinstance(command, Dial):
                return await self._dial(client, command, again)
            if isinstance(command, Originate):
                return await self._originate(client, command, again)
            return await _HOW[type(command)](self, client, command)
        except Unreachable as error:
            return CommandFailed(
                client.now_ms(), command, str(error), unknown=error.sent, of_node=True
            )

    def knows(self, node: str) -> bool:
        """Whether it is among ARI_NODES."""
        return node in self._nodes

    def now_ms(self, node: str) -> int:
        """What time it is by the node's own clock, as it was measured last."""
        return self._clocks.now_ms(node) if self._fixed_ms is None else self._fixed_ms()

    async def keep_time(self) -> None:
        """Measure the nodes' clocks, for ever."""
        await self._clocks.run(self._any_clients)

    async def know_time(self) -> None:
        """Measure the nodes' clocks once, for a second at most."""
        await self._clocks.measure(self._any_clients())

    def _any_clients(self) -> list[AriClient]:
        return [self._clients_of(node)[0] for node in self._nodes.values()]

    async def close(self) -> None:
        for clients in self._clients.values():
            for client in clients:
                await client.close()

    def _client_for(self, node: AriNode, command: AriCommand) -> AriClient:
        """The node's client that this call keeps to, so that its requests arrive in order."""
        clients = self._clients_of(node)
        return clients[_number_of(_named_in(command)) % len(clients)]

    def _clients_of(self, node: AriNode) -> tuple[AriClient, ...]:
        clients = self._clients.get(node.name)
        if clients is None:
            clients = tuple(
                RestSocket(node, self._app) if self._over_socket else AriClient(node)
                for _ in range(SOCKETS if self._over_socket else 1)
            )
            self._clients[node.name] = clients
        return clients

    # --- One method for each command ---

    async def _create_channel(self, client: BoundedClient, command: CreateChannel) -> Result:
        variables = {"TIMEOUT(absolute)": str(command.limit_s)}
        if command.digest:
            variables[VARIABLE] = command.digest
        if command.endpoint.startswith("PJSIP/"):
            variables[f"PJSIP_HEADER(add,{HOPS_HEADER})"] = str(command.hops)
        else:
            # Inherited along a local proxy, whose dialplan can pass it on in the header.
            variables[f"__{HOPS_VARIABLE}"] = str(command.hops)
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
            # Not by a request of ours whose answer was lost: Redis may have lost what we had saved.
            return CommandDone(client.now_ms(), command, existed=not answer.repeated)
        if answer.status in (409, 500):
            reason = (
                f"node {client.node.name} could not make a channel of {command.endpoint}: "
                "no such endpoint there, or its settings are wrong"
            )
            return CommandFailed(client.now_ms(), command, reason)
        return self._judge(client, command, answer, f"create {command.endpoint}")

    async def _originate(self, client: BoundedClient, command: Originate, again: bool) -> Result:
        if command.endpoint:
            return await self._call_phone(client, command, again)
        answer = await self._create_caller(client, command, SILENT, {})
        return await self._caller_made(client, command, answer) or self._done(client, command)

    async def _call_phone(self, client: BoundedClient, command: Originate, again: bool) -> Result:
        """Create the phone's channel, and dial it. `POST /channels` would do both; but there
        Asterisk calls, past us, whomever a phone names that answers 302, and nothing forbids it.

        It is dialled once only: it may have declined meanwhile, and would ring again.
        """
        if again and not await self._waits_undialled(client, command):
            if await self._exists(client, f"/channels/{_q(command.channel_id)}"):
                return CommandDone(client.now_ms(), command, existed=True)
            reason = "a worker died while it called the phone; whether it rang is not known"
            return CommandFailed(client.now_ms(), command, reason, unknown=True)
        is_ours, last_s = again, steady_s() + LISTENER_S
        shown = {"CALLERID(num)": command.shown, "CONNECTEDLINE(num,i)": command.shown}
        while True:
            with _before_the_dial():
                answer = await self._create_caller(client, command, command.endpoint, shown)
            found = await self._caller_made(client, command, answer, is_ours)
            if found is not None:
                return found
            is_ours = True
            answer = await self._ring(client, command)
            if answer.status != 404:
                return self._judge(client, command, answer, f"call {command.endpoint}")
            if steady_s() + LISTENER_PAUSE_S >= last_s:
                reason = (
                    f"no ARI bridge is connected to node {client.node.name}, so "
                    f"{command.endpoint} was not called"
                )
                return CommandFailed(client.now_ms(), command, reason)
            await asyncio.sleep(LISTENER_PAUSE_S)

    async def _waits_undialled(self, client: BoundedClient, command: Originate) -> bool:
        """Whether an earlier worker has created the phone and not come to dialling it: it is in
        Stasis and has no mark. One that a worker of the version before called is not in Stasis."""
        channel = f"/channels/{_q(command.channel_id)}"
        mark = await client.repeatable("GET", channel + "/variable", {"variable": RUNG_VARIABLE})
        # Looked at last: without its channel there is no mark either.
        look = await client.repeatable("GET", channel)
        if mark.status != 404 or not look.ok:
            return False
        known = orjson.loads(look.body)
        return bool(known["state"] == "Down" and known["dialplan"]["app_name"] == "Stasis")

    async def _create_caller(
        self, client: BoundedClient, command: Originate, endpoint: str, variables: dict[str, str]
    ) -> Answered:
        values = {"TIMEOUT(absolute)": str(command.limit_s), **variables}
        if command.digest:
            values[ORDER_VARIABLE] = f"{self._app} {command.digest}"
        asked = {"endpoint": endpoint, "app": self._app, "channelId": command.channel_id}
        return await client.repeatable("POST", "/channels/create", asked, {"variables": values})

    async def _caller_made(
        self, client: BoundedClient, command: Originate, answer: Answered, is_ours: bool = False
    ) -> Result | None:
        """None where the caller's channel has been made by us; else what is to be said instead."""
        channel = f"/channels/{_q(command.channel_id)}"
        if answer.status == 409 and await self._exists(client, channel):
            # Not by a request of ours whose answer was lost: Redis may have lost what we had saved.
            existed = CommandDone(client.now_ms(), command, existed=True)
            return None if is_ours or answer.repeated else existed
        if answer.status in (409, 500):
            what = command.endpoint or "its own"
            reason = (
                f"node {client.node.name} could not make a channel of {what}: "
                "no such endpoint there, or its settings are wrong"
            )
            return CommandFailed(client.now_ms(), command, reason)
        if answer.ok:
            return None
        return self._judge(client, command, answer, f"call {command.endpoint or 'nobody'}")

    async def _ring(self, client: BoundedClient, command: Originate) -> Answered:
        """Dial the phone, whose channel is ours and has not been dialled, once it can be."""
        channel = f"/channels/{_q(command.channel_id)}"
        mark = {"variable": RUNG_VARIABLE, "value": "1"}
        with _before_the_dial():
            marked = await _once_entered(
                partial(client.repeatable, "POST", channel + "/variable", mark)
            )
        if not marked.ok:
            return marked
        # This request alone is never sent again.
        params = {"timeout": str(command.timeout_s)}
        return await client.request("POST", channel + "/dial", params)

    async def _play(self, client: BoundedClient, command: Play) -> Result:
        path = f"/bridges/{_q(command.bridge_id)}/play"
        answer = await client.repeatable("POST", path, {"media": command.sound})
        return self._judge(client, command, answer, "play the sound")

    async def _create_bridge(self, client: BoundedClient, command: CreateBridge) -> Result:
        path = f"/bridges/{_q(command.bridge_id)}"
        answer = await client.repeatable(
            "POST", path, body={"type": "mixing", "name": command.digest}
        )
        if answer.status == 409 and await self._exists(client, path):
            return self._done(client, command)
        return self._judge(client, command, answer, "create the bridge")

    async def _add_to_bridge(self, client: BoundedClient, command: AddToBridge) -> Result:
        path = f"/bridges/{_q(command.bridge_id)}/addChannel"
        params = {
            "channel": ",".join(command.channel_ids),
            # Else A's own number and name would take the place of what B is to be shown.
            "inhibitConnectedLineUpdates": "true",
        }
        answer = await _once_entered(partial(client.repeatable, "POST", path, params))
        return self._judge(client, command, answer, _JOINING)

    async def _dial(self, client: BoundedClient, command: Dial, again: bool) -> Result:
        channel = f"/channels/{_q(command.channel_id)}"
        if again or command.look_first:
            look = await client.repeatable("GET", channel)
            if look.ok and orjson.loads(look.body).get("state") in ("Ringing", "Up"):
                return self._done(client, command)
            reason = "a worker died while it dialled; whether B was dialled is not known"
            return CommandFailed(client.now_ms(), command, reason)
        # Naming A as its caller would put A's own number and name in place of what B is shown.
        params = {"timeout": str(command.timeout_s)}
        answer = await client.request("POST", channel + "/dial", params)
        return self._judge(client, command, answer, "dial")

    async def _answer(self, client: BoundedClient, command: Answer) -> Result:
        path = f"/channels/{_q(command.channel_id)}/answer"
        return self._judge(client, command, await client.repeatable("POST", path), "answer")

    async def _limit_channel(self, client: BoundedClient, command: LimitChannel) -> Result:
        path = f"/channels/{_q(command.channel_id)}/variable"
        params = {"variable": "TIMEOUT(absolute)", "value": str(command.limit_s)}
        return self._judge(client, command, await client.repeatable("POST", path, params), "limit")

    async def _hangup(self, client: BoundedClient, command: Hangup) -> Result:
        path = f"/channels/{_q(command.channel_id)}"
        params = {"reason_code": str(command.cause)}
        answer = await client.repeatable("DELETE", path, params)
        return self._judge(client, command, answer, "hang up")

    async def _destroy_bridge(self, client: BoundedClient, command: DestroyBridge) -> Result:
        path = f"/bridges/{_q(command.bridge_id)}"
        answer = await client.repeatable("DELETE", path)
        if answer.status == 409 and not await self._exists(client, path):
            return CommandDone(client.now_ms(), command, gone=True)
        return self._judge(client, command, answer, "destroy the bridge")

    async def _look_up(self, client: BoundedClient, command: LookUp) -> Result:
        """All of it or nothing: a partial look must not make a live channel seem gone."""
        at_ms = client.now_ms()
        paths = [f"/channels/{_q(channel)}" for channel in command.channel_ids]
        paths.append(f"/bridges/{_q(command.bridge_id)}")
        answers = await asyncio.gather(*(client.repeatable("GET", path) for path in paths))
        for answer in answers:
            if not answer.ok and answer.status != 404:
                return self._judge(client, command, answer, "look at the call")
        channels = {
            channel: str(orjson.loads(answer.body)["state"])
            for channel, answer in zip(command.channel_ids, answers, strict=False)
            if answer.ok
        }
        return Listed(at_ms, channels, bridge=answers[-1].ok)

    # --- Reading answers ---

    def _done(self, client: BoundedClient, command: AriCommand) -> CommandDone:
        return CommandDone(client.now_ms(), command)

    async def _exists(self, client: BoundedClient, path: str) -> bool:
        return (await client.repeatable("GET", path)).ok

    def _judge(
        self, client: BoundedClient, command: AriCommand, answer: Answered, what: str
    ) -> Result:
        if answer.ok:
            return self._done(client, command)
        ends = isinstance(command, Hangup | DestroyBridge | Answer | LimitChannel)
        if answer.status == 404 and ends:
            return CommandDone(client.now_ms(), command, gone=True)
        reason = f"Asterisk refused to {what}: {answer.status} {answer.message}"
        return CommandFailed(client.now_ms(), command, reason, unknown=answer.status >= 500)


_How = Callable[[AriGateway, BoundedClient, Any], Coroutine[Any, Any, Result]]
_HOW: dict[type, _How] = {
    CreateChannel: AriGateway._create_channel,
    CreateBridge: AriGateway._create_bridge,
    Play: AriGateway._play,
    AddToBridge: AriGateway._add_to_bridge,
    Answer: AriGateway._answer,
    LimitChannel: AriGateway._limit_channel,
    Hangup: AriGateway._hangup,
    DestroyBridge: AriGateway._destroy_bridge,
    LookUp: AriGateway._look_up,
}


@contextmanager
def _before_the_dial() -> Iterator[None]:
    """What had no answer here may have made or marked the phone's channel: nothing has rung."""
    try:
        yield
    except Unreachable as error:
        raise Unreachable(str(error), sent=False) from error


async def _once_entered(ask: Callable[[], Awaitable[Answered]]) -> Answered:
    """The answer to what can be done only in Stasis, asked until the channel has entered it."""
    answer = await ask()
    if answer.status not in _NOT_YET:
        return answer
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(NotYet),
            stop=stop_after_delay(ENTER_S),
            wait=wait_exponential(multiplier=0.002, max=0.1),
            reraise=True,
        ):
            with attempt:
                answer = await ask()
                if answer.status in _NOT_YET:
                    raise NotYet
    except NotYet:
        pass
    return answer


def _named_in(command: AriCommand) -> str:
    """A channel or the bridge of the command's call."""
    if isinstance(command, CreateBridge | AddToBridge | Play | DestroyBridge | LookUp):
        return command.bridge_id
    return command.channel_id


@lru_cache(maxsize=4096)
def _number_of(channel_or_bridge_id: str) -> int:
    """The same number for all that belongs to one call."""
    return crc32(ids.a_channel_of(channel_or_bridge_id).encode())


@lru_cache(maxsize=4096)
def _q(channel_or_bridge_id: str) -> str:
    return quote(channel_or_bridge_id, safe="")
