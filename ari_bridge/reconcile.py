"""Comparing what we remember with what a node holds, to find what was missed.

Events are lost while nobody listens; none are queued or sent again. So after every connect, and
now and then, the node's listing is compared with the sessions:

  * a call of ours whose channels are not as remembered is doubted: it looks for itself
  * a caller in our Stasis application without a call begins one, late; one who is already talking
    to nobody is hung up, as their call has been and its end was missed
  * a B leg or a bridge named as we name them, whose call is no more, is ended
  * a call with both its legs, of which Redis knows nothing, is left alone and told: Redis has lost
    its data, and that is no reason to cut people off. Their hard limit stands in Asterisk. When one
    side is gone the other is ended

The sessions are read before the listing. What a session says exists, and a later listing lacks, is
gone; no clock is compared. A failed or partial listing changes nothing.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson
import redis

from ari_bridge.decoding import entered_of
from ari_bridge.gateway import AriClient, Unreachable
from ari_bridge.poster import Poster
from calls import ids, machine
from calls.engine import wall_clock_ms
from calls.events import CallEntered, Doubted, MailboxEvent
from calls.mailbox import Mailboxes
from calls.session import Phase, Session

ENTERED_AGO_MS = 3_000
"""A caller who entered later than this may still have a StasisStart on its way to us."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a comparison found."""

    doubted: tuple[str, ...]
    """Ids of calls whose channels are not as remembered."""
    entered: tuple[CallEntered, ...]
    """Callers without a call."""
    forgotten: tuple[str, ...]
    """Ids of calls that are up and of which Redis knows nothing: it has lost what it had."""
    stray_channels: tuple[str, ...]
    stray_bridges: tuple[str, ...]


def is_doubtful(session: Session, states: Mapping[str, str]) -> bool:
    """Whether the node's channels (id → state) contradict what the session remembers."""
    if session.phase in (Phase.ROUTING, Phase.OVER) or session.pending:
        return False
    if not session.a_gone and session.a_channel not in states:
        return True
    for leg in session.legs:
        if leg.gone or not leg.created:
            continue
        state = states.get(leg.channel_id)
        if state is None or (state == "Up" and leg.answered_ms is None):
            return True
    return session.phase is Phase.ENDING


def compare(
    node: str,
    app: str,
    before: Iterable[Session],
    channels: Sequence[Mapping[str, Any]],
    bridge_ids: Iterable[str],
    live: set[str],
    over: set[str],
    now_ms: int,
) -> Findings:
    """What is wrong. ``before``: sessions read before the listing; ``live``, ``over``: call ids
    that live or have a tombstone, read after it."""
    states = {channel["id"]: channel["state"] for channel in channels}
    callers = [channel for channel in channels if _waits_in(channel, app)]

    def is_known(created_id: str) -> bool:
        return _call_of(node, created_id) in live

    def is_forgotten(created_id: str) -> bool:
        """Whether it belongs to a call with its caller there, and no word of it in Redis."""
        call = _call_of(node, created_id)
        return call not in live and call not in over and ids.a_channel_of(created_id) in states

    def is_stray(created_id: str) -> bool:
        return _is_ours(created_id) and not is_known(created_id) and not is_forgotten(created_id)

    with_b = {ids.a_channel_of(channel) for channel in states if _is_ours(channel)}
    alone = [
        each
        for each in callers
        if is_forgotten(each["id"])
        and each["id"] not in with_b
        and _created_ms(each) < now_ms - ENTERED_AGO_MS
    ]
    return Findings(
        doubted=tuple(each.call_id for each in before if is_doubtful(each, states)),
        entered=tuple(
            entered_of(dict(each), _created_ms(each)) for each in alone if each["state"] != "Up"
        ),
        forgotten=tuple(
            _call_of(node, each["id"])
            for each in callers
            if is_forgotten(each["id"]) and each["id"] in with_b
        ),
        stray_channels=(
            *(channel for channel in states if is_stray(channel)),
            *(each["id"] for each in callers if _call_of(node, each["id"]) in over),
            *(each["id"] for each in alone if each["state"] == "Up"),
        ),
        stray_bridges=tuple(bridge for bridge in bridge_ids if is_stray(bridge)),
    )


def _call_of(node: str, created_id: str) -> str:
    return ids.call_id(node, ids.a_channel_of(created_id))


def _is_ours(created_id: str) -> bool:
    return ids.is_created_by_us(created_id) and not created_id.endswith((";1", ";2"))


def _waits_in(channel: Mapping[str, Any], app: str) -> bool:
    """Whether this is a caller's channel that is in our Stasis application."""
    dialplan = channel.get("dialplan") or {}
    is_in_app = str(dialplan.get("app_data") or "").partition(",")[0] == app
    return (
        dialplan.get("app_name") == "Stasis"
        and is_in_app
        and not ids.is_created_by_us(channel["id"])
    )


def _created_ms(channel: Mapping[str, Any]) -> int:
    created = datetime.strptime(channel["creationtime"], "%Y-%m-%dT%H:%M:%S.%f%z")
    return int(created.timestamp() * 1000)


class Reconciler:
    """Carries comparisons out, for any node."""

    def __init__(self, app: str, mailboxes: Mailboxes, poster: Poster) -> None:
        self._app = app
        self._mailboxes = mailboxes
        self._poster = poster

    async def run(self, node: str, ari: AriClient) -> None:
        """Compare once and set right what is wrong. Says why when it cannot compare."""
        try:
            found = await self._compare(node, ari)
        except (Unreachable, redis.RedisError, ValueError, KeyError) as error:
            logger.warning("Node %s could not be compared, nothing is changed: %s", node, error)
            return
        if found != Findings((), (), (), (), ()):
            if found.forgotten:
                logger.error(
                    "Node %s: %d calls are up of which Redis (REDIS_URL) knows nothing, it has "
                    "lost its data. They go on, and leave no CDR: %s",
                    node,
                    len(found.forgotten),
                    ", ".join(found.forgotten[:20]),
                )
            logger.warning(
                "Node %s: %d calls are not as remembered, %d callers had no call, "
                "%d channels and %d bridges were left over.",
                node,
                len(found.doubted),
                len(found.entered),
                len(found.stray_channels),
                len(found.stray_bridges),
            )
            await self._set_right(node, ari, found)

    async def _compare(self, node: str, ari: AriClient) -> Findings:
        before = await self._sessions(node)
        channels = await self._list(ari, "/channels")
        bridges = [bridge["id"] for bridge in await self._list(ari, "/bridges")]
        live = set(await self._mailboxes.live(node))
        seen = {_call_of(node, each["id"]) for each in channels}
        over = await self._mailboxes.are_over(sorted(seen - live))
        return compare(node, self._app, before, channels, bridges, live, over, wall_clock_ms())

    async def _sessions(self, node: str) -> list[Session]:
        """The sessions as they are once their waiting events are taken in."""
        seen = await self._mailboxes.peek(await self._mailboxes.live(node))
        return [_after(session, events) for session, events in seen.values() if session]

    async def _list(self, ari: AriClient, path: str) -> list[dict[str, Any]]:
        answer = await ari.repeatable("GET", path)
        if not answer.ok:
            raise Unreachable(f"GET {path} gives {answer.status} {answer.message}", sent=True)
        listed = orjson.loads(answer.body)
        if not isinstance(listed, list):
            raise ValueError(f"GET {path} gives no list")
        return listed

    async def _set_right(self, node: str, ari: AriClient, found: Findings) -> None:
        for call in found.doubted:
            self._poster.add(call, Doubted(wall_clock_ms()))
        for caller in found.entered:
            self._poster.add(ids.call_id(node, caller.channel_id), caller)
        paths = [f"/channels/{quote(channel, safe='')}" for channel in found.stray_channels]
        paths += [f"/bridges/{quote(bridge, safe='')}" for bridge in found.stray_bridges]
        for path in paths:
            try:
                await ari.repeatable("DELETE", path)
            except Unreachable as error:
                logger.warning("%s stays for the next comparison: %s", path, error)


def _after(session: Session, events: Iterable[MailboxEvent]) -> Session:
    for event in events:
        session = machine.decide(session, event)
    return session
