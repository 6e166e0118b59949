"""Every live call at a glance: thousands of them in the time of a page.

`calls.engine.live` decides each call's waiting events by the machine itself, for which it reads the
whole session. Here a call whose phase its waiting events do not change is read without that, and
of its session only what a list shows; only a call that is being set up, and has mail, goes the long
way. A call that talks has the same session for minutes, so what was read of it is kept, and read
again once somebody has written: of ten thousand calls a page that refreshes itself reads hundreds.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from django.conf import settings
from msgspec import Struct

from calls.engine.live import LiveCall, LiveState, live_call
from calls.machine.events import decode
from calls.machine.session import Phase, from_json
from calls.store.overview import Attended, Kept, look_past

logger = logging.getLogger(__name__)


class _Leg(Struct):
    """What a list shows of an attempt."""

    number: int
    trunk: str
    started_ms: int
    progress_ms: int | None = None
    ringing_ms: int | None = None


class _Session(Struct):
    """What a list shows of a session; fields of calls.machine.session.Session."""

    phase: str
    started_ms: int
    dialled: str
    caller_number: str
    account: str = ""
    legs: tuple[_Leg, ...] = ()
    answered_ms: int | None = None
    ended_ms: int | None = None


_read = msgspec.json.Decoder(_Session).decode


@dataclass(frozen=True, slots=True)
class _Seen:
    """Calls whose sessions need not be read again, of the Redis at ``url``; replaced as a whole, by
    one thread or another."""

    url: str = ""
    calls: Mapping[str, tuple[float, LiveCall]] = field(default_factory=dict)
    """By call id: when somebody was to look at it when it was read, and what was read."""


_seen = _Seen()


def live_now() -> list[LiveCall]:
    """All live calls, in no order. Raises redis.RedisError.

    What cannot be read is left out, and logged: it must not hide all others.
    """
    global _seen
    seen = _seen.calls if _seen.url == settings.REDIS_URL else {}

    def known(each: Attended) -> bool:
        before = seen.get(each.call)
        return before is not None and before[0] == each.at_ms

    attended, kept = look_past(known)
    read = {call.call_id: call for call in overview(kept)}
    found: list[LiveCall] = []
    settled: dict[str, tuple[float, LiveCall]] = {}
    for each in attended:
        call = read.get(each.call)
        if call is None and known(each):
            call = seen[each.call][1]
        if call is None:
            continue
        found.append(call)
        if call.state in (LiveState.TALKING, LiveState.ENDING):
            settled[each.call] = each.at_ms, call
    _seen = _Seen(settings.REDIS_URL, settled)
    return found


def overview(kept: Iterable[Kept]) -> list[LiveCall]:
    """The calls among these that are live, in their order.

    What cannot be read is left out, and logged: it must not hide all others.
    """
    found = []
    for each in kept:
        try:
            call = glance(*each)
        except Exception:
            logger.exception("Call %s cannot be shown.", each.call, extra={"call_id": each.call})
            continue
        if call is not None:
            found.append(call)
    return found


def glance(call: str, session: bytes | None, mail: Sequence[bytes]) -> LiveCall | None:
    """The call as it is now; None when it is over or never began.

    Raises CallError when the mailbox holds something that is no event.
    """
    if session:
        read = _read(session)
        settled = _settled(call, read)
        if settled is not None:
            return settled
        if not mail and read.legs and read.phase in (Phase.SETUP, Phase.DIALLING):
            return _shown(call, read, *_of_attempt(read.legs[-1]))
    return live_call(call, from_json(session) if session else None, map(decode, mail))


def _settled(call: str, read: _Session) -> LiveCall | None:
    """The call, where its phase is one that a list may show as it was saved: a hang-up that waits
    ends it within milliseconds. None for any other."""
    if read.phase == Phase.TALKING:
        return _shown(call, read, LiveState.TALKING, read.answered_ms or read.started_ms)
    if read.phase == Phase.ENDING:
        return _shown(call, read, LiveState.ENDING, read.ended_ms or read.started_ms)
    return None


def _of_attempt(leg: _Leg) -> tuple[LiveState, int]:
    if leg.ringing_ms is not None:
        return LiveState.RINGING, leg.ringing_ms
    if leg.progress_ms is not None:
        return LiveState.EARLY_MEDIA, leg.progress_ms
    return LiveState.DIALLING, leg.started_ms


def _shown(call: str, read: _Session, state: LiveState, since_ms: int) -> LiveCall:
    leg = read.legs[-1] if read.legs else None
    return LiveCall(
        call_id=call,
        state=state,
        started_ms=read.started_ms,
        since_ms=since_ms,
        account=read.account,
        caller=read.caller_number,
        callee=read.dialled,
        trunk=leg.trunk if leg else "",
        attempt=leg.number if leg else 0,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which live calls are asked for; what is empty asks for nothing.

    ``number`` are digits that the caller's or the callee's number has somewhere.
    """

    account: str = ""
    trunk: str = ""
    node: str = ""
    state: str = ""
    number: str = ""

    def takes(self, call: LiveCall) -> bool:
        """Whether this call is one of those."""
        return (
            self.account in ("", call.account)
            and self.trunk in ("", call.trunk)
            and self.state in ("", call.state)
            and self.node in ("", call.node)
            and (self.number in call.caller or self.number in call.callee)
        )
