"""The double and the real Asterisk, behind one face."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
import pytest
from tenacity import AsyncRetrying, wait_fixed

from ari_bridge.node import AriNode
from tests.ari.double import AriDouble
from tests.lab.asterisk import ARI_USER, Asterisk

APP = "contract"
"""Not the application that the rest of the tests' processes may be listening to."""
PATIENCE_S = 5.0


class Ari:
    """A node to hold to the contract."""

    def __init__(self, node: AriNode, http: aiohttp.ClientSession) -> None:
        self.node = node
        self._http = http
        # Ids of our own pattern would be taken for leftovers by a reconciler on the same node.
        self.a, self.b, self.bridge = (f"{uuid4().hex[:8]}-{what}" for what in ("a", "b", "br"))

    async def ask(
        self, method: str, path: str, body: Any = None, **query: str
    ) -> tuple[int, dict[str, Any]]:
        """One request: status, and the decoded answer ({} for none)."""
        url = f"{self.node.url}/ari{path}"
        async with self._http.request(method, url, params=query, json=body) as answer:
            data = await answer.read()
            return answer.status, orjson.loads(data) if data else {}

    async def status(self, method: str, path: str, body: Any = None, **query: str) -> int:
        return (await self.ask(method, path, body, **query))[0]

    async def create(
        self, channel: str, endpoint: str = "Local/123@monkeys", **more: str
    ) -> tuple[int, dict[str, Any]]:
        query = {"endpoint": endpoint, "app": APP, "channelId": channel, **more}
        return await self.ask("POST", "/channels/create", {"variables": {}}, **query)

    async def until_gone(self, path: str) -> None:
        """Wait until this is 404."""
        async with asyncio.timeout(PATIENCE_S):
            async for attempt in AsyncRetrying(wait=wait_fixed(0.01)):
                with attempt:
                    assert await self.status("GET", path) == 404

    async def delete_everything(self) -> None:
        for kind, names in (("channels", (self.a, self.b)), ("bridges", (self.bridge,))):
            for name in names:
                await self.ask("DELETE", f"/{kind}/{name}")

    @asynccontextmanager
    async def listen(self, app: str = APP) -> AsyncIterator["Ear"]:
        url = f"{self.node.url}/ari/events"
        query = {"app": app, "subscribeAll": "false"}
        async with self._http.ws_connect(url, params=query) as socket:
            yield Ear(socket)


class Ear:
    """Hears events, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            message = await self.socket.receive_json()
        self.heard.append(message)
        return message

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next event of this type, with these fields; all before it are in `heard`."""
        while True:
            event = await self.next()
            if event["type"] == kind and fields.items() <= event.items():
                return event

    async def until_all(self, channel: str, *kinds: str) -> None:
        """Until all these kinds (see `kinds`) were heard of the channel, in any order."""
        while not set(kinds) <= set(self.kinds(channel)):
            await self.next()

    def kinds(self, channel: str) -> list[str]:
        """What was heard of a channel, a Dial with its status."""
        return [
            " ".join(filter(None, (event["type"], event.get("dialstatus"))))
            for event in self.heard
            if (event.get("channel") or event.get("peer") or {}).get("id") == channel
        ]


@pytest.fixture(params=["double", pytest.param("asterisk", marks=pytest.mark.asterisk)])
async def ari(request: pytest.FixtureRequest) -> AsyncIterator[Ari]:
    async with AsyncExitStack() as stack:
        if request.param == "double":
            node = (await stack.enter_async_context(AriDouble())).node
        else:
            asterisk: Asterisk = request.getfixturevalue("asterisk")
            node = AriNode("lab", asterisk.ari_base, ARI_USER, asterisk.password)
        auth = {"Authorization": aiohttp.encode_basic_auth(node.user, node.password)}
        found = Ari(node, await stack.enter_async_context(aiohttp.ClientSession(headers=auth)))
        yield found
        await found.delete_everything()
