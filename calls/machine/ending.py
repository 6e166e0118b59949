"""How a call is taken down, by whatever it ends."""

from msgspec.structs import replace

from calls import causes
from calls.machine import pending
from calls.machine.commands import DestroyBridge, Hangup, Release
from calls.machine.events import Event, HangupAsked
from calls.machine.session import BridgeState, EndSign, Phase, Session
from cdr.record import Disposition, EndedBy


def end(
    session: Session,
    at_ms: int,
    disposition: Disposition,
    ended_by: EndedBy,
    *,
    a_cause: int,
    reason: str = "",
    cause: int | None = None,
    sip_code: int | None = None,
) -> Session:
    """Take the call down: every channel of it that is not already ending, and the bridge."""
    session = replace(
        session,
        phase=Phase.ENDING,
        ended_ms=at_ms,
        disposition=disposition,
        ended_by=ended_by,
        a_cause=a_cause,
        cause=cause,
        sip_code=sip_code,
        reason=reason,
        targets=(),
        looks=0,
        wake_ms=at_ms + pending.ENDING_PATIENCE_MS,
        pending=tuple(each for each in session.pending if isinstance(each, Hangup)),
    )
    if session.rules:
        talk_ms = 0 if session.answered_ms is None else max(0, at_ms - session.answered_ms)
        session = pending.add(session, Release(talk_ms))
    if session.a_end_sign is EndSign.NONE and not session.a_gone:
        session = pending.add(session, Hangup(session.a_channel, a_cause))
    for leg in session.legs:
        if not leg.gone and leg.end_sign is EndSign.NONE:
            session = pending.add(session, Hangup(leg.channel_id, causes.NORMAL_CLEARING))
    if session.bridge in (BridgeState.ASKED, BridgeState.MADE):
        session = pending.add(session, DestroyBridge(session.bridge_id))
    return session


def close_if_done(session: Session) -> Session:
    """Over, once nothing of the call is left in Asterisk and nothing is to be done."""
    if (
        session.phase is Phase.ENDING
        and not session.pending
        and session.a_gone
        and all(leg.gone for leg in session.legs)
        and session.bridge in (BridgeState.NONE, BridgeState.GONE)
    ):
        return replace(session, phase=Phase.OVER)
    return session


def cancelled(session: Session, event: Event) -> Session:
    """The caller is gone before any answer: whatever was begun for them ends at once."""
    return end(
        session,
        session.a_ended_ms or event.at_ms,
        Disposition.CANCELLED,
        EndedBy.UNKNOWN if session.a_end_sign is EndSign.MISSED else EndedBy.CALLER,
        a_cause=causes.NORMAL_CLEARING,
        cause=session.cause,
        sip_code=487,
    )


def asked(session: Session, event: HangupAsked) -> Session:
    """A person ends the call."""
    answered = session.answered_ms is not None
    return end(
        session,
        event.at_ms,
        Disposition.ANSWERED if answered else Disposition.CANCELLED,
        EndedBy.ADMIN,
        a_cause=causes.NORMAL_CLEARING if answered else causes.NORMAL_UNSPECIFIED,
        reason=f"hung up by {event.by}",
        cause=causes.NORMAL_CLEARING,
        sip_code=200 if answered else None,
    )
