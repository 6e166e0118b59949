"""What the live calls are doing, for those who look on: a terminal, the admin.

A session in Redis is as old as its last save, and what has happened since lies in the mailbox. So
a live call is shown as it will be once the waiting events are taken in, decided by the machine
itself; nothing is written and no lock is taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from calls.machine import table
from calls.machine.events import MailboxEvent
from calls.machine.session import Leg, Phase, Session
from calls.store.mailbox import Mailboxes


class LiveState(StrEnum):
    """What a caller would say of the call now. The value is the word that is shown."""

    CALLING = "calling"
    """The caller of a call that was ordered is being called."""
    ROUTING = "routing"
    DIALLING = "dialling"
    EARLY_MEDIA = "early media"
    RINGING = "ringing"
    TALKING = "talking"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class LiveCall:
    """One call that is up now. Times are milliseconds since the Unix epoch.

    ``caller`` and ``callee`` are as Asterisk received them: what a caller sent, which may be
    anything. Show them by `printable`, or escaped as HTML.
    """

    call_id: str
    state: LiveState
    started_ms: int
    since_ms: int
    """When the present state began."""
    account: str
    """Code of the account; empty until the call is routed."""
    caller: str
    callee: str
    trunk: str
    """The trunk of the present attempt; empty before the first."""
    attempt: int
    """Number of the present attempt, from 1; 0 before the first."""

    @property
    def node(self) -> str:
        """The Asterisk that carries the call."""
        return self.call_id.partition(":")[0]


async def live_calls(mailboxes: Mailboxes, node: str | None = None) -> list[LiveCall]:
    """All live calls, or one node's, the oldest first.

    Raises redis.RedisError when Redis fails, and CallError when a mailbox holds something that is
    no event.
    """
    seen = await mailboxes.peek(await mailboxes.live(node))
    calls = [live_call(call, session, events) for call, (session, events) in seen.items()]
    return sorted(
        (call for call in calls if call is not None),
        key=lambda call: (call.started_ms, call.call_id),
    )


def live_call(
    call: str, session: Session | None, events: Iterable[MailboxEvent]
) -> LiveCall | None:
    """The call as it is once its waiting events are taken in; None when it is over or never began.

    ``session`` is None for a call that no worker has seen yet.
    """
    session = table.fold(call, session, events)
    if session is None or session.phase is Phase.OVER:
        return None
    state, since_ms = _state(session)
    leg = session.leg
    return LiveCall(
        call_id=call,
        state=state,
        started_ms=session.started_ms,
        since_ms=since_ms,
        account=session.account,
        caller=session.caller_number,
        callee=session.dialled,
        trunk=leg.trunk if leg else "",
        attempt=leg.number if leg else 0,
    )


def _state(session: Session) -> tuple[LiveState, int]:
    match session.phase, session.leg:
        case Phase.CALLING, _:
            return LiveState.CALLING, session.started_ms
        case Phase.ENDING, _:
            return LiveState.ENDING, session.ended_ms or session.started_ms
        case Phase.TALKING, _:
            return LiveState.TALKING, session.answered_ms or session.started_ms
        case Phase.SETUP | Phase.DIALLING, Leg() as leg:
            return _of_attempt(leg)
    return LiveState.ROUTING, session.started_ms


def _of_attempt(leg: Leg) -> tuple[LiveState, int]:
    if leg.ringing_ms is not None:
        return LiveState.RINGING, leg.ringing_ms
    if leg.progress_ms is not None:
        return LiveState.EARLY_MEDIA, leg.progress_ms
    return LiveState.DIALLING, leg.started_ms
