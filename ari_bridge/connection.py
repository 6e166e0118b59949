"""Connecting to a node: the WebSocket, and the filter on what it brings."""

import logging
import re

import aiohttp

from ari_bridge.client import AriClient, Unreachable
from ari_bridge.decoding import EVENT_TYPES
from ari_bridge.node import AriNode

HEARTBEAT_S = 10.0
"""Between two WebSocket pings; without a pong in half of it the connection is given up."""
CONNECT_S = 2.0
"""How long the connection and the handshake may take."""
LONGEST_MESSAGE = 2**20
"""Bytes. Asterisk's longest event is a few KB; without a bound one frame of 200 MB takes 600 MB."""
WITHOUT_KNOWN_HOLES = (22, 10, 1)
_VERSION = re.compile(r'"version"\s*:\s*"(\d+)\.(\d+)\.(\d+)')

logger = logging.getLogger(__name__)


class NodeLost(Exception):
    """There is no connection to the node; the text is a sentence that says why."""


async def connect(
    http: aiohttp.ClientSession, ari: AriClient, app: str
) -> aiohttp.ClientWebSocketResponse:
    """A WebSocket on which the application's events come. Raises NodeLost."""
    node = ari.node
    try:
        socket = await http.ws_connect(
            f"{node.url}/ari/events",
            params={"app": app, "subscribeAll": "false"},
            headers={"Authorization": aiohttp.encode_basic_auth(node.user, node.password)},
            heartbeat=HEARTBEAT_S,
            max_msg_size=LONGEST_MESSAGE,
            ssl=node.tls,
        )
    except aiohttp.WSServerHandshakeError as error:
        raise NodeLost(_refused(node, error.status)) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NodeLost(
            f"Node {node.name} cannot be reached at {node.url} ({error or 'no answer'}): check "
            "that Asterisk runs there with http.conf enabled, and the address in ARI_NODES."
        ) from error
    try:
        await _warn_of_holes(ari)
        await _filter_events(ari, app)
    except BaseException:
        await socket.close()
        raise
    logger.info("Listening to node %s at %s as %s.", node.name, node.url, app)
    return socket


def _refused(node: AriNode, status: int) -> str:
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


async def _warn_of_holes(ari: AriClient) -> None:
    """Say so where this Asterisk's ARI is known to have holes. Raises NodeLost."""
    try:
        answer = await ari.request("GET", "/asterisk/info", {"only": "system"})
    except Unreachable as error:
        raise NodeLost(f"Its version could not be asked: {error}.") from error
    found = _VERSION.search(answer.body.decode(errors="replace")) if answer.ok else None
    if found and tuple(map(int, found.groups())) < WITHOUT_KNOWN_HOLES:
        logger.warning(
            "Node %s runs Asterisk %s. Before %s, ARI has known holes: a user that may only read "
            "can write over the WebSocket (GHSA-wcvv-g26m-wx5c). Update it, and let nobody else "
            "reach its HTTP port until then.",
            ari.node.name,
            ".".join(found.groups()),
            ".".join(map(str, WITHOUT_KNOWN_HOLES)),
        )


async def _filter_events(ari: AriClient, app: str) -> None:
    """Let Asterisk send what matters only. It forgets the filter with its last connection."""
    allowed = {"allowed": [{"type": name} for name in EVENT_TYPES]}
    try:
        answer = await ari.request("PUT", f"/applications/{app}/eventFilter", body=allowed)
    except Unreachable as error:
        raise NodeLost(f"The event filter could not be set: {error}.") from error
    if not answer.ok:
        raise NodeLost(
            f"Node {ari.node.name} takes no event filter ({answer.status} {answer.message}): "
            "Asterisk 22 or newer is needed."
        )
