"""Listening to one node: the WebSocket, kept open, drained before all else.

A connection is good only while Asterisk still sends events on it. Asterisk drops a session whose
reader was too slow without closing TCP, and then the application looks active and hears nothing.
So besides WebSocket pings the listener posts a user event every few seconds and wants it back.

Any number of listeners may run for a node. One has the lease (lease.py) and connects; the others
stand by. Whoever takes over connects before the one before it has gone, where that one still
lives: Asterisk lets the newest win and tells the older, which reads what was sent to it until then.
"""

import asyncio
import logging
import random
from contextlib import suppress
from time import monotonic
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import redis

from ari_bridge import metrics
from ari_bridge.bouncer import Bouncer
from ari_bridge.client import AriClient, Unreachable, client_of
from ari_bridge.connection import CONNECT_S, NodeLost, connect
from ari_bridge.decoding import decode, parse
from ari_bridge.heard import Heard
from ari_bridge.lease import LOOK_S, RENEW_S, Lease
from ari_bridge.node import AriNode
from ari_bridge.poster import Poster
from ari_bridge.quiet import OncePerSecond
from ari_bridge.reconcile import Reconciler
from calls import causes, ids
from calls.machine.events import CallEntered, ChannelEvent
from calls.store.mark import KEY as MARK
from calls.store.mark import Mark
from calls.vital import vital_task

ECHO_S = 2.5
"""Between two user events that must come back, each before the next is due."""
ECHO_AGAIN_S = 0.5
"""After one that Asterisk did not take: what failed may have been a connection as deaf as this."""
DEAF_S = 2 * ECHO_S + 1.0
"""Without an echo for so long it is not known whether anything is heard."""
RECONCILE_S = 30.0
"""Between two comparisons of what we remember with what the node holds."""
SOON_S = 2.0
"""Between the first comparison after a connect, or a loss of data, and the second."""
ECHO_NAME = "ringmaster-echo"
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
"""The pause after an attempt to connect that came to nothing; it doubles with each."""
STEADY_S = 5.0
"""A connection that held for so long was a good one: the next attempt comes without a pause."""
OFFER_S = 0.5
"""How long an ending listener waits for one that stands by to take the lease."""
TAKEOVER_S = 3.0
"""How long it then goes on listening until that one is connected."""
STRANGER_S = 30.0
"""How long a listener keeps away after one that does not know of the lease took its place: by
then that one has ended, or somebody has read what is said about it."""

logger = logging.getLogger(__name__)


class Listener:
    """Listens to one node, or stands by to, until it is told to end or is cancelled."""

    def __init__(
        self,
        node: AriNode,
        app: str,
        poster: Poster,
        reconciler: Reconciler,
        lease: Lease,
        mark: Mark,
        bouncer: Bouncer | None = None,
    ) -> None:
        self._node = node
        self._app = app
        self._poster = poster
        self._reconciler = reconciler
        self._lease = lease
        self._mark = mark
        self._bouncer = bouncer
        self._ari: AriClient | None = None
        self._turning_away: set[asyncio.Task[None]] = set()
        self._say = OncePerSecond(logger)
        self._ours = asyncio.Event()
        self._ending = asyncio.Event()
        self._compare = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._failures = 0
        self._stands_by = False
        self._resting = False
        """Whether we wait before the next attempt, and leave the lease to others meanwhile."""
        self._heard = Heard()
        self._echo_sent = ""
        self._echo_heard = ""
        self._echo_sent_s = self._echo_heard_s = monotonic()

    @property
    def is_ending(self) -> bool:
        """Whether it was told to end."""
        return self._ending.is_set()

    @property
    def describes_itself(self) -> str:
        """What it does now, in two or three words."""
        doing = "connects" if self._ours.is_set() else "stands by"
        if self._socket is not None:
            doing = "listens" if monotonic() - self._echo_heard_s < DEAF_S else "hears nothing"
        return f"{self._node.name} {doing}"

    def end(self) -> None:
        """Hand over to a listener that stands by, if there is one, and return from `run`."""
        self._ending.set()

    async def run(self) -> None:
        """Listen whenever the lease is ours, and connect again when the connection is lost."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with aiohttp.ClientSession(timeout=timeout) as http, client_of(self._node) as ari:
            self._ari = ari
            keeping = vital_task(
                f"The keeper of the lease of node {self._node.name}", self._keep_lease()
            )
            try:
                while await _first(self._ours, self._ending) is self._ours:
                    await self._listen(http, ari)
            finally:
                await _end([keeping])

    async def _listen(self, http: aiohttp.ClientSession, ari: AriClient) -> None:
        """Connect once and listen for as long as it holds; pause where it did not hold long."""
        began = monotonic()
        try:
            async with asyncio.timeout(CONNECT_S * 2):
                self._socket = await connect(http, ari, self._app)
            began, self._stands_by = monotonic(), False
            self._echo_heard_s = began
            metrics.CONNECTS.labels(self._node.name).inc()
            await self._serve(self._socket, ari)
        except (NodeLost, TimeoutError) as lost:
            self._say.error("%s", lost or f"Node {self._node.name} does not answer.")
        except Exception:
            # Whatever it was, the calls of this node have nobody else to hear them.
            logger.exception("Listening to node %s failed; connecting again.", self._node.name)
        finally:
            if self._socket is not None:
                await self._socket.close()
                self._socket = None
        if self._ours.is_set() and not self._ending.is_set():
            await self._pause(monotonic() - began)

    async def _pause(self, held_s: float) -> None:
        """Wait before the next attempt, the longer the more of them came to nothing."""
        if held_s >= STEADY_S:
            self._failures = 0
            return
        self._failures = min(self._failures + 1, 10)
        self._resting = True
        try:
            # Another listener may reach the node where we cannot.
            with suppress(redis.RedisError):
                if await self._lease.offer():
                    self._ours.clear()
            longest_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._failures)
            with suppress(TimeoutError):
                async with asyncio.timeout(longest_s * random.uniform(0.5, 1)):  # noqa: S311
                    await self._ending.wait()
        finally:
            self._resting = False

    # --- The lease ---

    async def _keep_lease(self) -> None:
        """Renew the lease while it is ours, and look whether it can be while it is not."""
        while True:
            try:
                await self._keep_once()
            except redis.RedisError as error:
                # Who listens goes on listening, and nobody takes its place.
                self._say.error(
                    "Redis (REDIS_URL) keeps no lease of node %s: %s", self._node.name, error
                )
            except Exception:
                logger.exception("The lease of node %s could not be kept.", self._node.name)
            await asyncio.sleep(RENEW_S if self._ours.is_set() else LOOK_S)

    async def _keep_once(self) -> None:
        if self._ending.is_set() or self._resting:
            return
        if not self._ours.is_set():
            if await self._lease.take():
                self._ours.set()
            elif not self._stands_by:
                self._stands_by = True
                logger.info("Node %s has a listener; this one stands by.", self._node.name)
            # Looked at after the lease: where that was free as Redis was emptied, we are the one
            # who says so. A loss that the holder outlives is the holder's.
            if await self._mark.has_changed():
                if self._ours.is_set():
                    self._see_to_loss()
                self._mark.attended()
            return
        renewed, mark = await self._lease.renew_and_read(MARK)
        if not renewed and self._socket is None:
            self._ours.clear()
        if await self._mark.shows_change(mark):
            self._see_to_loss()
            self._mark.attended()

    def _see_to_loss(self) -> None:
        logger.error(
            "Redis (REDIS_URL) has lost data or was started again; node %s is compared now.",
            self._node.name,
        )
        metrics.REDIS_LOSSES.inc()
        self._compare.set()

    async def _stand_by(self) -> None:
        """Another listener has taken our place."""
        self._ours.clear()
        try:
            known = await self._lease.is_held_elsewhere()
        except redis.RedisError:
            known = True
        if known or self._ending.is_set():
            logger.warning(
                "Another listener took over the application %s on node %s; this one stands by.",
                self._app,
                self._node.name,
            )
            return
        logger.error(
            "A program that does not share our Redis (REDIS_URL) took over the application %s on "
            "node %s: give each its own ARI_APP, or stop one. It is taken back in %g s.",
            self._app,
            self._node.name,
            STRANGER_S,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(STRANGER_S):
                await self._ending.wait()

    async def _hand_over(self) -> None:
        """Once told to end: listen on until another listener has taken over, if there is one."""
        await self._ending.wait()
        try:
            waiting = await self._lease.offer()
            async with asyncio.timeout(OFFER_S):
                while waiting and not await self._lease.is_held_elsewhere():  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        except (TimeoutError, redis.RedisError):
            return
        # What ends the wait is that _read sees us replaced.
        await asyncio.sleep(TAKEOVER_S)

    # --- One connection ---

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse, ari: AriClient) -> None:
        """Read until the connection is lost (NodeLost), taken over, or handed over."""
        side = [
            asyncio.create_task(self._echo(socket, ari)),
            asyncio.create_task(self._reconcile(ari)),
        ]
        reading = asyncio.create_task(self._read(socket))
        handing_over = asyncio.create_task(self._hand_over())
        try:
            await asyncio.wait({reading, handing_over}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading
        finally:
            await _end([*side, reading, handing_over])

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take in what comes, until another listener takes over or the connection is lost."""
        async for frame in socket:
            if frame.type is aiohttp.WSMsgType.TEXT and self._handle(frame.data):
                await self._stand_by()
                return
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
                self._hear_echo(message.get("userevent", {}).get("token", ""))
                return False
            event = decode(message)
        except Exception:  # noqa: BLE001 - whatever is wrong with one event, the next must be heard
            self._say.error(
                "Node %s sent an event that is not as ARI describes it, it is left out: %.300r",
                self._node.name,
                data,
            )
            return False
        metrics.heard(self._node.name, metrics.IGNORED if event is None else event.tag)
        if event is not None and not self._is_turned_away(event):
            a_channel = ids.a_channel_of(event.channel_id)
            event = self._heard.note(event)
            self._poster.add(ids.call_id(self._node.name, a_channel), event)
        return False

    def _hear_echo(self, token: str) -> None:
        if token != self._echo_sent or token == self._echo_heard:
            return
        self._echo_heard, self._echo_heard_s = token, monotonic()
        metrics.ECHO_TIME.labels(self._node.name).observe(monotonic() - self._echo_sent_s)

    def _is_turned_away(self, event: ChannelEvent) -> bool:
        if self._bouncer is None or not self._bouncer.turns_away(self._node.name, event):
            return False
        if isinstance(event, CallEntered):
            task = asyncio.create_task(self._turn_away(event))
            self._turning_away.add(task)
            task.add_done_callback(self._turning_away.discard)
        return True

    async def _turn_away(self, event: CallEntered) -> None:
        """Hang a caller up at the door; where that fails, let it in as any other."""
        assert self._ari is not None and self._bouncer is not None  # noqa: S101, PT018 - run() set it
        path = f"/channels/{quote(event.channel_id, safe='')}"
        try:
            answer = await self._ari.repeatable(
                "DELETE", path, {"reason_code": str(causes.NORMAL_UNSPECIFIED)}
            )
            if answer.ok or answer.status == 404:
                return
        except Unreachable as error:
            self._say.error("%s.", error)
        self._bouncer.readmit(event)
        self._heard.note(event)
        self._poster.add(ids.call_id(self._node.name, event.channel_id), event)

    async def _echo(self, socket: aiohttp.ClientWebSocketResponse, ari: AriClient) -> None:
        """Close the connection when a user event that Asterisk took does not come back on it."""
        while True:
            sent = await self._send_echo(ari)
            await asyncio.sleep(ECHO_S if sent else ECHO_AGAIN_S)
            if sent and self._echo_heard != self._echo_sent:
                self._say.error(
                    "Node %s sends no events any more though the connection stands; connecting "
                    "again.",
                    self._node.name,
                )
                await socket.close()
                return

    async def _send_echo(self, ari: AriClient) -> bool:
        """Post the user event; whether Asterisk took it. One that it did not take proves nothing:
        under load requests fail on a connection that is well."""
        self._echo_sent, self._echo_sent_s = uuid4().hex, monotonic()
        variables = {"variables": {"token": self._echo_sent}}
        path = f"/events/user/{ECHO_NAME}"
        try:
            answer = await ari.request("POST", path, {"application": self._app}, variables)
        except Unreachable as error:
            self._say.error("%s.", error)
            return False
        if not answer.ok:
            self._say.error(
                "Node %s takes no user event (%d %s); whether it sends events is not known.",
                self._node.name,
                answer.status,
                answer.message,
            )
        return answer.ok

    async def _reconcile(self, ari: AriClient) -> None:
        soon = True
        while True:
            self._compare.clear()
            try:
                await self._reconciler.run(self._node.name, ari, self._heard)
            except Exception:
                # A fault that nobody foresaw must not end all comparisons to come in silence.
                logger.exception("Node %s could not be compared.", self._node.name)
            with suppress(TimeoutError):
                # Soon once more: what was on its way in Redis or to Asterisk has arrived by then.
                async with asyncio.timeout(SOON_S if soon else RECONCILE_S):
                    await self._compare.wait()
            soon = self._compare.is_set()


async def _first(*events: asyncio.Event) -> asyncio.Event:
    """The first of the events to be set; a later one wins where several are."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return next(event for event in reversed(events) if event.is_set())


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
