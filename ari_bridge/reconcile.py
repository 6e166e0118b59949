"""Comparing what we remember with what a node holds, to find what was missed.

Events are lost while nobody listens; none are queued or sent again. And Redis may lose what it
remembers. So after every connect, when Redis is not what it was, and now and then, the node's
listing is compared with the sessions:

  * a call of ours whose channels are not as remembered is doubted: it looks for itself. That B is
    up and its answer was not heard is told at once, with the time that the listener remembers
  * a call of which less is remembered than there is, as an attempt is up that its session does not
    know, catches up by what the node holds of it
  * a call of which nothing is remembered is rebuilt from what the node holds of it, digest included
    (calls/machine/rebuilding.py says what becomes of it): a caller who was missed begins a call,
    who talks goes on talking
  * what is left of a call that is over, or that nothing can be known of, is ended

No clock is compared. The sessions are read before the listing: what a session says exists, and a
later listing lacks, is gone. A call is unknown only when it is so twice, with a pause in between in
which whatever was under way about it is posted. A failed or partial listing changes nothing.
"""

import asyncio
import logging
from collections.abc import Container, Iterable, Sequence
from typing import TypeVar
from urllib.parse import quote

import orjson
import redis

from ari_bridge.client import AriClient, Unreachable
from ari_bridge.clocks import NodeClocks
from ari_bridge.comparison import Expected, Findings, Held, Snapshot, expected_of
from ari_bridge.heard import Heard
from ari_bridge.listing import listed
from ari_bridge.poster import Poster
from calls import ids
from calls.machine import digest, table
from calls.machine.events import CallFound, ChannelAnswered, Doubted
from calls.store.mailbox import Mailboxes

SECOND_LOOK_S = 0.3
"""Between the two looks at a call that nobody knows; an event is on its way for milliseconds."""
PART = 100
"""Sessions read and judged without a pause: some 5 ms."""
PORTION, PORTION_S = 10, 0.1
"""Callers who waited are begun so many at a time, which is 100 a second."""
ASKED = 16
"""Requests to the node at the same time."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Reconciler:
    """Carries comparisons out, for any node."""

    def __init__(self, app: str, mailboxes: Mailboxes, poster: Poster) -> None:
        self._app = app
        self._mailboxes = mailboxes
        self._poster = poster
        self._clocks = NodeClocks()

    async def run(self, node: str, ari: AriClient, heard: Heard) -> None:
        """Compare once and set right what is wrong. Says why when it cannot compare."""
        await self._clocks.measure([ari])
        try:
            found = await self._compare(node, ari, heard)
            unknown: dict[str, Held] = {}
            behind: dict[str, Held] = {}
            if found.unknown or found.behind:
                await asyncio.sleep(SECOND_LOOK_S)
                await self._poster.posted()
                again = await self._compare(node, ari, heard, found.unknown | found.behind)
                unknown = {a: again.unknown[a] for a in found.unknown if a in again.unknown}
                behind = {a: again.behind[a] for a in found.behind if a in again.behind}
            calls = await self._calls_of(node, unknown | behind, ari, heard)
        except (Unreachable, redis.RedisError, ValueError, KeyError, TypeError) as error:
            logger.warning("Node %s could not be compared, nothing is changed: %s", node, error)
            return
        # A phone of whose order nothing can be read may be another application's.
        lost = {a: held for a, held in unknown.items() if a not in calls and not held.phone}
        if found.doubted or found.answered or calls or found.left_over or lost:
            logger.warning(
                "Node %s: %d calls are not as remembered, %d of which nothing was remembered are "
                "rebuilt, and of %d that are over something was left.",
                node,
                len(found.doubted) + len(behind),
                len(calls) - len(behind.keys() & calls.keys()),
                len(found.left_over) + len(lost),
            )
        now_ms = self._clocks.now_ms(node)
        for call, channel in found.answered:
            # Before the doubt: who looks later may find the caller gone, and no talk to bill.
            told_ms = heard.answered_ms(ids.a_channel_of(channel), ids.attempt_of(channel))
            answered_ms = told_ms or now_ms
            self._poster.add(call, ChannelAnswered(channel, answered_ms))
        for call in found.doubted:
            self._poster.add(call, Doubted(now_ms))
        await self._end(found.left_over | lost, ari)
        await self._rebuild(node, calls)

    # --- The two sides ---

    async def _compare(
        self, node: str, ari: AriClient, heard: Heard, wanted: Container[str] = ()
    ) -> Findings:
        """Compare once; of ``wanted`` callers all is kept that is listed of them."""
        expected = await self._expected(node)
        snapshot = Snapshot(self._app, wanted)
        async for channels in listed(ari, "/channels"):
            snapshot.add_channels(channels)
        async for bridges in listed(ari, "/bridges"):
            snapshot.add_bridges(bridges)
        live = set(await self._mailboxes.live_in_parts(node))
        findings = Findings()
        for some in parts(list(snapshot.calls)):
            calls = {a: ids.call_id(node, a) for a in some}
            over = await self._mailboxes.are_over(
                [call for call in calls.values() if call not in live]
            )
            findings.judge(node, some, snapshot, live, over)
        for more in parts(expected):
            for each in more:
                unheard = each.answered_unheard(snapshot.states)
                findings.answered += [(each.call_id, channel) for channel in unheard]
                a_channel = ids.split_call_id(each.call_id)[1]
                held = snapshot.calls.get(a_channel)
                if held is not None and each.is_behind(held):
                    findings.behind[a_channel] = held
                elif each.is_contradicted(snapshot.states):
                    findings.doubted.append(each.call_id)
            await asyncio.sleep(0)
        known = set(snapshot.calls)
        for some_live in parts(list(live)):
            known.update(ids.split_call_id(call)[1] for call in some_live)
            await asyncio.sleep(0)
        heard.keep_only(known)
        return findings

    async def _expected(self, node: str) -> list[Expected]:
        """What the sessions let expect, once their waiting events are taken in."""
        expected = []
        for calls in parts(await self._mailboxes.live_in_parts(node)):
            seen = await self._mailboxes.peek(calls)
            for call, (session, events) in seen.items():
                after = table.fold(call, session, events) if session is not None else None
                each = expected_of(after) if after is not None else None
                if each is not None:
                    expected.append(each)
            await asyncio.sleep(0)
        return expected

    # --- Setting right ---

    async def _calls_of(
        self, node: str, unknown: dict[str, Held], ari: AriClient, heard: Heard
    ) -> dict[str, CallFound]:
        """The events that rebuild these calls; those of which nothing can be known are left out."""
        found = {}
        for some in parts(list(unknown), ASKED):
            digests = await asyncio.gather(
                *(self._digest(each, unknown[each], ari) for each in some)
            )
            for a_channel, text in zip(some, digests, strict=True):
                held = unknown[a_channel]
                if held.a is not None or text:
                    answered_ms = heard.answered_ms(a_channel, max(held.legs, default=0))
                    now_ms = self._clocks.now_ms(node)
                    found[a_channel] = held.found(a_channel, now_ms, text, answered_ms)
        return found

    async def _rebuild(self, node: str, calls: dict[str, CallFound]) -> None:
        """Let these calls be begun: who talks at once, who waits in portions. After ten seconds of
        silence at 20 calls a second 200 callers wait, and setting up 200 calls in one moment would
        take Asterisk longer than a worker waits for it."""
        waiting = []
        for a_channel, found in calls.items():
            if found.present and all(state != "Up" for _, state in found.legs):
                waiting.append(a_channel)
            else:
                self._poster.add(ids.call_id(node, a_channel), found)
        for some in parts(waiting, PORTION):
            for a_channel in some:
                self._poster.add(ids.call_id(node, a_channel), calls[a_channel])
            await asyncio.sleep(PORTION_S)

    async def _digest(self, a_channel: str, held: Held, ari: AriClient) -> str:
        """What was left on the last B leg, else on the bridge, else on the phone of an order."""
        for _, (channel, _) in sorted(held.legs.items(), reverse=True):
            text = await _variable(ari, channel, digest.VARIABLE)
            if text:
                return text
        if held.bridge or not ids.is_ordered(a_channel):
            return held.bridge or ""
        app, _, text = (await _variable(ari, a_channel, digest.ORDER_VARIABLE)).partition(" ")
        return text if app == self._app else ""

    async def _end(self, left_over: dict[str, Held], ari: AriClient) -> None:
        for a_channel, held in left_over.items():
            for path in held.paths(a_channel):
                try:
                    await ari.repeatable("DELETE", quote(path))
                except Unreachable as error:
                    logger.warning("%s stays for the next comparison: %s", path, error)


async def _variable(ari: AriClient, channel: str, name: str) -> str:
    """The variable of a channel; '' where there is none."""
    path = f"/channels/{quote(channel, safe='')}/variable"
    answer = await ari.repeatable("GET", path, {"variable": name})
    return str(orjson.loads(answer.body).get("value") or "") if answer.ok else ""


def parts(all_of_them: Sequence[T], size: int = PART) -> Iterable[Sequence[T]]:
    """A sequence in pieces."""
    return (all_of_them[start : start + size] for start in range(0, len(all_of_them), size))
