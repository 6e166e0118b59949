"""Looking at one Asterisk over ARI alone, and leaving it as it was.

Most of what bites stands in Asterisk's files, and ARI does not tell what those say. A channel does:
its dialplan functions read options (AST_CONFIG), endpoints (PJSIP_ENDPOINT, PJSIP_AOR) and the
dialplan as it is loaded (DIALPLAN_EXISTS). So the doctor makes one Local channel in an application
of its own, asks it, and hangs it up; it is never dialled, and no line of a dialplan runs. Passwords
could be read the same way, and are not.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import aiohttp
import orjson

from ari_bridge.client import AriClient, Unreachable, client_of
from ari_bridge.clocks import NodeClocks
from ari_bridge.connection import CONNECT_S
from ari_bridge.doctor import dialplan
from ari_bridge.doctor.facts import OPTIONS, Context, Node, Option
from ari_bridge.doctor.surroundings import endpoint_of
from ari_bridge.node import AriNode
from calls.clock import wall_clock_ms

ANSWER_S = 3.0
"""How long one answer may take."""
LOOK_S = 30.0
"""How long the whole look at one node may take."""
MOST_ENDPOINTS = 300
"""Endpoints whose contexts are asked for; each costs a request."""
MOST_LINES = 500
"""Lines of one context that are read, each by a request."""
MOST_INCLUDES = 20


async def look(node: AriNode, app: str, trunks: tuple[str, ...]) -> Node:
    """What there is to know of a node. ``trunks`` are the dial strings that it is to know.

    Raises nothing for a node that does not answer: that is what it says then.
    """
    found = await _of_host(_new(node))
    if found.host_error:
        return found
    async with client_of(node) as ari:
        found = await _of_ari(found, ari, app)
        if not found.may_write:
            return found
        try:
            async with asyncio.timeout(LOOK_S), asking(ari, app) as channel:
                return await _of_files(found, channel, trunks)
        except (Unreachable, aiohttp.ClientError, TimeoutError, OSError):
            # That the node was there a moment ago has been told; what its files say is not known.
            return found


def _new(node: AriNode) -> Node:
    return Node(node.name, node.url, node.user, urlsplit(node.url).hostname or "")


async def _of_host(found: Node) -> Node:
    began = monotonic()
    loop = asyncio.get_running_loop()
    try:
        addresses = await loop.getaddrinfo(found.host, None)
    except OSError as error:
        return replace(found, host_error=(error.strerror or str(error)).rstrip("."))
    found = replace(found, host_s=monotonic() - began)
    if not any(_is_loopback(str(address[4][0])) for address in addresses):
        return found
    # Asterisk runs on this machine, so what it asks DNS for can be asked here.
    name = socket.gethostname()
    try:
        async with asyncio.timeout(2):
            await loop.getaddrinfo(name, None)
    except OSError as error:
        return replace(found, own_name_error=f"{name}: {error.strerror or 'no answer in 2 s'}")
    return found


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


async def _of_ari(found: Node, ari: AriClient, app: str) -> Node:
    try:
        answer = await _ask(ari, "GET", "/asterisk/info")
        if not answer.ok:
            return replace(found, status=answer.status)
        info = _json(answer.body)
        found = replace(
            found,
            status=200,
            version=str(info.get("system", {}).get("version", "")),
            entity_id=str(info.get("system", {}).get("entity_id", "")),
            system_name=str(info.get("config", {}).get("name", "")),
        )
        # Who may only read is refused before it is looked whether there is such a channel.
        refused = await _ask(ari, "DELETE", f"/channels/ringmaster-doctor-{uuid4().hex}")
        connected = await _ask(ari, "GET", f"/applications/{quote(app)}")
        found = replace(
            found,
            may_write=refused.status not in (401, 403),
            connected=connected.ok if connected.status in (200, 404) else None,
        )
        if connected.ok:
            allowed = _json(connected.body).get("events_allowed")
            found = replace(
                found, allowed_events=frozenset(str(each.get("type")) for each in allowed or ())
            )
        clocks = NodeClocks()
        await clocks.measure([ari])
        return replace(found, clock_off_s=(clocks.now_ms(ari.node.name) - wall_clock_ms()) / 1000)
    except Unreachable as error:
        return replace(found, error=str(error).rpartition(": ")[2] or str(error), status=None)


async def _ask(ari: AriClient, method: str, path: str, **params: str) -> Any:
    return await ari.request(method, path, params or None)


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class Asked:
    """A channel of the doctor's, whose functions are asked."""

    def __init__(self, ari: AriClient, channel_id: str) -> None:
        self._ari = ari
        self._path = f"/channels/{quote(channel_id, safe='')}/variable"

    async def function(self, text: str) -> str | None:
        """What a dialplan function gives; None where it gives nothing or is not there."""
        answer = await self._ari.request("GET", self._path, {"variable": text})
        return str(_json(answer.body).get("value", "")) if answer.ok else None

    async def variable(self, name: str) -> str | None:
        """A global variable of the dialplan."""
        answer = await self._ari.request("GET", "/asterisk/variable", {"variable": name})
        return str(_json(answer.body).get("value", "")) if answer.ok else None

    async def endpoints(self) -> dict[str, str] | None:
        """The state of each PJSIP endpoint."""
        answer = await self._ari.listing("/endpoints/PJSIP", ANSWER_S)
        if not answer.ok:
            return None
        return {str(each["resource"]): str(each["state"]) for each in orjson.loads(answer.body)}


@asynccontextmanager
async def asking(ari: AriClient, app: str) -> AsyncIterator[Asked]:
    """A channel that can be asked, and is gone at the end. Raises Unreachable, OSError."""
    own, channel_id = f"{app}-doctor-{uuid4().hex[:12]}", f"ringmaster-doctor-{uuid4().hex}"
    async with connected(ari.node, own):
        made = await ari.request(
            "POST",
            "/channels/create",
            {"endpoint": "Local/doctor@ringmaster-doctor", "app": own, "channelId": channel_id},
        )
        if not made.ok:
            raise Unreachable(f"it makes no channel ({made.status} {made.message})", sent=True)
        try:
            yield Asked(ari, channel_id)
        finally:
            await ari.repeatable("DELETE", f"/channels/{channel_id}")


@asynccontextmanager
async def connected(node: AriNode, app: str) -> AsyncIterator[None]:
    """An application of this name for as long as the block lasts; what it hears is not read.

    Asterisk forgets it with its connection. Raises OSError or aiohttp.ClientError.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        async with asyncio.timeout(2 * CONNECT_S):
            socket = await http.ws_connect(
                f"{node.url}/ari/events",
                params={"app": app, "subscribeAll": "false"},
                headers={"Authorization": aiohttp.encode_basic_auth(node.user, node.password)},
                ssl=node.tls,
            )
        try:
            yield
        finally:
            await socket.close()


async def _of_files(found: Node, channel: Asked, trunks: tuple[str, ...]) -> Node:
    endpoints = await channel.endpoints()
    found = replace(
        found,
        endpoints=endpoints,
        unwatched=await _unwatched(channel, endpoints or {}, trunks),
        options=await _options(channel),
    )
    if found.options is None:
        return found
    some = list(endpoints or {})[:MOST_ENDPOINTS]
    contexts, redirecting = await _contexts(channel, some), await _redirecting(channel, some)
    variables: dict[str, str] = {}
    for context in contexts:
        for name in sorted(dialplan.variables_in(dialplan.lines_of(context))):
            value = await channel.variable(name)
            if value:
                variables[name] = value
    return replace(found, contexts=contexts, variables=variables, redirecting=redirecting)


async def _options(channel: Asked) -> Mapping[Option, str] | None:
    """The options that are set; None where Asterisk does not tell what its files say."""
    # ARI answered, so this one is set: without it the function is not there.
    if not await channel.function("AST_CONFIG(http.conf,general,enabled)"):
        return None
    found = {}
    for option in OPTIONS:
        value = await channel.function(f"AST_CONFIG({option.file},{option.section},{option.name})")
        if value is not None:
            found[option] = value
    return found


async def _contexts(channel: Asked, endpoints: list[str]) -> tuple[Context, ...]:
    """The contexts of these endpoints, each once."""
    callers: dict[str, list[str]] = {}
    for endpoint in endpoints:
        name = await channel.function(f"PJSIP_ENDPOINT({endpoint},context)")
        if name:
            callers.setdefault(name, []).append(endpoint)
    return tuple([await _context(channel, name, tuple(who)) for name, who in callers.items()])


async def _redirecting(channel: Asked, endpoints: list[str]) -> tuple[str, ...]:
    """Those of these endpoints whose 302 is followed before a channel knows of it."""
    methods = {
        each: await channel.function(f"PJSIP_ENDPOINT({each},redirect_method)")
        for each in endpoints
    }
    return tuple(sorted(each for each, method in methods.items() if method == "uri_pjsip"))


async def _context(channel: Asked, name: str, endpoints: tuple[str, ...]) -> Context:
    extens: list[str] = []
    sames: list[str] = []
    names = [name]
    for each in names:
        extens += await _lines(channel, each, "exten")
        sames += await _lines(channel, each, "same")
        included = [one.partition(",")[0] for one in await _lines(channel, each, "include")]
        names += [one for one in included if one not in names][:MOST_INCLUDES]
        if len(names) > MOST_INCLUDES:
            break
    reaches = {
        own
        for own in ("h", "T")
        if await channel.function(f"DIALPLAN_EXISTS({name},{own},1)") == "1"
    }
    return Context(name, endpoints, tuple(extens), tuple(sames), frozenset(reaches))


async def _lines(channel: Asked, context: str, kind: str) -> list[str]:
    found: list[str] = []
    while len(found) < MOST_LINES:
        line = await channel.function(f"AST_CONFIG(extensions.conf,{context},{kind},{len(found)})")
        if line is None:
            break
        found.append(line)
    return found


async def _unwatched(
    channel: Asked, endpoints: Mapping[str, str], trunks: tuple[str, ...]
) -> frozenset[str]:
    """The endpoints of trunks that Asterisk sends no OPTIONS to."""
    found = set()
    for endpoint in {name for dial_string in trunks if (name := endpoint_of(dial_string))}:
        if endpoint not in endpoints:
            continue
        aors = await channel.function(f"PJSIP_ENDPOINT({endpoint},aors)") or ""
        asked = [
            await channel.function(f"PJSIP_AOR({aor.strip()},qualify_frequency)") or "0"
            for aor in aors.split(",")
            if aor.strip()
        ]
        if not any(frequency not in ("", "0") for frequency in asked):
            found.add(endpoint)
    return frozenset(found)
