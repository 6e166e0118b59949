"""What a node holds, against what is remembered of its calls. Pure; reconcile.py asks both sides.

Everything is taken in by parts, so that whoever asks can do something else in between.
"""

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ari_bridge import phones
from ari_bridge.decoding import entered_of
from calls import ids
from calls.machine.events import CallFound
from calls.machine.session import Phase, Session
from cdr.moments import ms_of

_B_LEG = re.compile(r"^(?P<a>.+)\.b(?P<number>[0-9]{1,4})$")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a session says its node holds. Small, as there is one for each call."""

    call_id: str
    a_channel: str
    """'' where A is known to be gone."""
    legs: tuple[tuple[str, bool, bool], ...]
    """Channel ids of the legs that are not gone, whether they are known to be there, and whether
    they are known to be answered."""
    ending: bool
    settled: bool
    """Whether nothing is about to be done for the call, which would tell what is wrong with it."""
    last: int = 0
    """The number of the last attempt."""
    awaits: bool = False
    """Whether A is a phone that is called, of whose answer nothing was heard."""

    def is_behind(self, held: "Held") -> bool:
        """Whether an attempt is up of which the session does not know: Redis went back."""
        unknown = (state for n, (_, state) in held.legs.items() if n > self.last)
        talks = any(answered for _, _, answered in self.legs)
        return not (self.ending or talks) and "Up" in unknown

    def answered_unheard(self, states: Mapping[str, str]) -> list[str]:
        """The legs that are up, of whose answer nothing was heard."""
        return [
            channel
            for channel, _, answered in self.legs
            if not answered and states.get(channel) == "Up"
        ]

    def is_contradicted(self, states: Mapping[str, str]) -> bool:
        """Whether the node's channels (id → state) are not as expected."""
        if not self.settled:
            return False
        if self.ending or (self.a_channel and self.a_channel not in states):
            return True
        if self.awaits and states[self.a_channel] == "Up":
            return True
        return any(
            created and (channel not in states or (states[channel] == "Up" and not answered))
            for channel, created, answered in self.legs
        )


def expected_of(session: Session) -> Expected | None:
    """What the session lets expect; None where there is nothing to expect yet."""
    if session.phase is Phase.OVER:
        return None
    if session.phase is Phase.ROUTING:
        # Nothing but that no attempt of it is up.
        last = len(session.legs)
        return Expected(session.call_id, "", (), ending=False, settled=False, last=last)
    legs = [leg for leg in session.legs if leg.channel_id and not leg.gone]
    return Expected(
        session.call_id,
        "" if session.a_gone else session.a_channel,
        tuple((leg.channel_id, leg.created, leg.answered_ms is not None) for leg in legs),
        session.phase is Phase.ENDING,
        not session.pending,
        len(session.legs),
        session.phase is Phase.CALLING and not (session.a_gone or session.is_silent),
    )


@dataclass(slots=True)
class Held:
    """What the node holds of one call."""

    a: Mapping[str, Any] | None = None
    """The caller's channel, if it waits in our application; empty where nobody asked for more."""
    legs: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Attempt → channel id and state."""
    bridge: str | None = None
    """The bridge's name, if there is the bridge."""
    phone: str = ""
    """The state of a phone that is called for an order, and not answered yet: it may be another
    application's."""

    def found(self, a_channel: str, now_ms: int, digest: str, answered_ms: int | None) -> CallFound:
        """The event that this is for a call that nobody remembers."""
        about_a = entered_of(dict(self.a), _created_ms(self.a)) if self.a else None
        return CallFound(
            channel_id=a_channel,
            at_ms=now_ms,
            present=about_a is not None,
            up=about_a.up if about_a else False,
            started_ms=about_a.at_ms if about_a else 0,
            channel_name=about_a.channel_name if about_a else "",
            dialled=about_a.dialled if about_a else "",
            caller_number=about_a.caller_number if about_a else "",
            caller_name=about_a.caller_name if about_a else "",
            account_code=about_a.account_code if about_a else "",
            legs=tuple((number, state) for number, (_, state) in sorted(self.legs.items())),
            bridge=self.bridge is not None,
            digest=digest,
            answered_ms=answered_ms,
            sip_call_id=about_a.sip_call_id if about_a else "",
            hops=about_a.hops if about_a else 0,
            phone=self.phone,
        )

    def paths(self, a_channel: str) -> Iterator[str]:
        """Where all of it is found under /ari."""
        if self.a is not None or self.phone:
            yield f"/channels/{a_channel}"
        for channel, _ in self.legs.values():
            yield f"/channels/{channel}"
        if self.bridge is not None:
            yield f"/bridges/{ids.bridge_of(a_channel)}"


NOTHING_MORE: Mapping[str, Any] = {}


class Snapshot:
    """What a node holds: its channels' states, and by call whatever is named as ours.

    Of callers that are not ``wanted`` only that they are there is kept: 10,000 channels as they are
    listed make the garbage collector stop everything for 60 ms.
    """

    def __init__(self, app: str, wanted: Container[str] = ()) -> None:
        self._app = app
        self._wanted = wanted
        self.states: dict[str, str] = {}
        self.calls: dict[str, Held] = {}
        """By the call's A channel."""

    def add_channels(self, channels: Iterable[Mapping[str, Any]]) -> None:
        """Take in a part of ``GET /channels``."""
        for channel in channels:
            name: str = channel["id"]
            self.states[name] = channel["state"]
            is_ours = _is_in(channel, self._app)
            if ids.is_ordered(name) and self._is_phone(channel, is_ours):
                self._held(name).phone = channel["state"]
                continue
            if not is_ours:
                continue
            leg = _B_LEG.match(name)
            if leg is not None:
                held = self._held(leg["a"])
                held.legs[int(leg["number"])] = (name, channel["state"])
            elif not ids.is_created_by_us(name):
                self._held(name).a = channel if name in self._wanted else NOTHING_MORE

    def add_bridges(self, bridges: Iterable[Mapping[str, Any]]) -> None:
        """Take in a part of ``GET /bridges``, once the channels are known."""
        for bridge in bridges:
            name: str = bridge["id"]
            a_channel = ids.a_channel_of(name)
            # One whose caller is there, but not with us, is another program's.
            theirs = a_channel in self.states and a_channel not in self.calls
            if name == ids.bridge_of(a_channel) and not theirs:
                self._held(a_channel).bridge = str(bridge.get("name") or "")

    def _is_phone(self, channel: Mapping[str, Any], is_ours: bool) -> bool:
        """Whether it is a phone that is called. One that a worker of the version before calls is in
        nobody's application until it is answered."""
        return phones.is_unanswered(channel) if is_ours else not _is_in_any(channel)

    def _held(self, a_channel: str) -> Held:
        return self.calls.setdefault(a_channel, Held())


@dataclass(slots=True)
class Findings:
    """What a comparison found; each by the call's A channel."""

    doubted: list[str] = field(default_factory=list)
    """Ids of calls whose channels are not as remembered."""
    answered: list[tuple[str, str]] = field(default_factory=list)
    """Ids of calls, and of legs of theirs that are up, of whose answer nothing was heard."""
    unknown: dict[str, Held] = field(default_factory=dict)
    """Calls of which nothing is remembered."""
    behind: dict[str, Held] = field(default_factory=dict)
    """Calls of which an attempt is up that their session does not know."""
    left_over: dict[str, Held] = field(default_factory=dict)
    """What is still there of calls that are over."""

    def judge(
        self, node: str, a_channels: Iterable[str], snapshot: Snapshot, live: Collection[str],
        over: Collection[str],
    ) -> None:  # fmt: skip
        """Sort some of the calls that the node holds. ``live``, ``over``: ids of calls that live,
        or have a tombstone, read after the node was asked."""
        for a_channel in a_channels:
            call = ids.call_id(node, a_channel)
            if call in over:
                self.left_over[a_channel] = snapshot.calls[a_channel]
            elif call not in live:
                self.unknown[a_channel] = snapshot.calls[a_channel]


def _is_in(channel: Mapping[str, Any], app: str) -> bool:
    """Whether the channel is in our Stasis application."""
    dialplan = channel.get("dialplan") or {}
    is_in_app = str(dialplan.get("app_data") or "").partition(",")[0] == app
    return dialplan.get("app_name") == "Stasis" and is_in_app


def _is_in_any(channel: Mapping[str, Any]) -> bool:
    """Whether the channel is in somebody's Stasis application."""
    return (channel.get("dialplan") or {}).get("app_name") == "Stasis"


def _created_ms(channel: Mapping[str, Any]) -> int:
    created = datetime.strptime(channel["creationtime"], "%Y-%m-%dT%H:%M:%S.%f%z")
    return ms_of(created)
