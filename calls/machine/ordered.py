"""How an ordered call begins: its caller is called, and once there it goes on like any other.

The caller's channel has the id that the order chose. The caller has entered when it is answered; so
what is heard of it before, and its end, is heard while the call is still `calling`.
"""

from msgspec.structs import replace

from calls import causes, ids
from calls.machine import digest, ending, pending
from calls.machine.commands import FindRoute, Originate
from calls.machine.events import (
    CallEntered,
    CallFound,
    CallOrdered,
    ChannelAnswered,
    CommandDone,
    CommandFailed,
    Event,
    Listed,
)
from calls.machine.session import EndSign, Order, Phase, Session
from calls.routing import endpoints
from cdr.record import Disposition, EndedBy

SETUP_PATIENCE_MS = 5_000
"""How long the call may stay without news before Asterisk is asked."""
LONGEST_RING_S = 120
"""The longest that an order may let its phone ring."""
ENTER_PATIENCE_MS = 1_000
"""How long after the caller's answer, or a request that had none, its entering must be heard."""
RING_GRACE_MS = 5_000
"""How long after the ring timeout the end of the ringing must have been heard."""
ANSWERED_LIMIT_S = 120
"""After the ringing the caller may wait for the set-up so long; then Asterisk ends the channel, if
none of us has told it how long the call may last."""
SILENT_CALL_S = 30
"""The longest call in which only a sound is played."""


def begin(call_id: str, event: CallOrdered) -> Session:
    """The call that begins with this order."""
    order = Order(event.by, event.phone, event.trunk, event.ring_timeout_s)
    endpoint = endpoint_of(order)
    session = Session(
        call_id=call_id,
        phase=Phase.CALLING,
        started_ms=event.at_ms,
        channel_name=endpoint,
        dialled=event.dialled,
        caller_number=event.caller_number,
        caller_name=event.phone,
        account_keys=(event.account_code,),
        account=event.account_code,
        wake_ms=event.at_ms + SETUP_PATIENCE_MS,
        order=order,
    )
    limit = limit_s(session)
    known = digest.encode(session)
    call = Originate(event.channel_id, endpoint, event.ring_timeout_s, limit, event.dialled, known)
    return pending.add(session, call)


def endpoint_of(order: Order) -> str:
    """What Asterisk is to call for the caller; '' for nobody."""
    return endpoints.phone(order.phone) if order.phone else ""


def is_forgotten(session: Session) -> bool:
    """Whether its caller was called by an order of which nothing is left: Redis was emptied."""
    return session.order is None and not session.dialled and ids.is_ordered(session.a_channel)


def forgotten(session: Session, at_ms: int) -> Session:
    """Who answers has dialled nothing, and nobody knows any more whom to call."""
    return ending.end(
        session,
        at_ms,
        Disposition.CONGESTION,
        EndedBy.SWITCH,
        a_cause=causes.NORMAL_CLEARING,
        reason="Redis has forgotten whom the order was to call, so nobody was called",
        cause=causes.CONGESTION,
    )


def found(session: Session, event: CallFound) -> Session:
    """Its phone is called, and Redis has forgotten it: it rings on.

    Its end may have come before anybody knew the call again, so somebody looks soon.
    """
    ringing_ms = event.at_ms if event.phone == "Ringing" else None
    return replace(
        session,
        phase=Phase.CALLING,
        a_up=event.phone == "Up",
        a_ringing_ms=ringing_ms,
        wake_ms=event.at_ms + ENTER_PATIENCE_MS,
    )


def limit_s(session: Session) -> int:
    """How long the caller's channel lives at most, ringing included, until it is told otherwise."""
    return ANSWERED_LIMIT_S + (session.order.ring_timeout_s if session.order is not None else 0)


def longest_s(session: Session, max_call_s: int) -> int:
    """How long the call may last, which is shorter where only a sound is played."""
    return min(max_call_s, SILENT_CALL_S) if session.is_silent else max_call_s


def called(session: Session, event: CommandDone) -> Session:
    """The caller is being called: the next thing to be heard is an answer, or that there is none.

    A silent one is there at once.
    """
    if session.is_silent or session.a_up or event.existed:
        # One that was there before may have been answered before, and nobody has heard of it.
        return replace(session, wake_ms=event.at_ms + ENTER_PATIENCE_MS)
    return replace(session, wake_ms=_overdue_ms(session, event.at_ms))


def not_called(session: Session, event: CommandFailed) -> Session:
    """The caller could not be called, or nobody knows: then Asterisk is asked in a moment."""
    if event.unknown:
        return replace(session, reason=event.reason, wake_ms=event.at_ms + ENTER_PATIENCE_MS)
    return ending.end(
        session,
        event.at_ms,
        Disposition.CONGESTION,
        EndedBy.SWITCH,
        a_cause=causes.NORMAL_CLEARING,
        reason=event.reason,
        cause=causes.CONGESTION,
    )


def answered(session: Session, event: ChannelAnswered) -> Session:
    """The caller is there, and enters in a moment."""
    return replace(session, wake_ms=event.at_ms + ENTER_PATIENCE_MS)


def entered(session: Session, event: CallEntered) -> Session:
    """The caller is there: find out where the call goes.

    A phone's channel is in Stasis before anybody is there. The bridge says nothing of that; where
    one of the version before does, nobody is connected to a phone that still rings.
    """
    if not (event.up or session.a_up or session.is_silent):
        return session
    return _go_on(session, event)


def looked(session: Session, event: Listed) -> Session:
    """The caller is there, or gone, or rings on, or has rung for too long."""
    if session.a_gone:
        return not_reached(session, event)
    if session.a_up or (session.is_silent and session.a_channel in event.channels):
        return _go_on(replace(session, recovered=True), event)
    if any(isinstance(each, Originate) for each in session.pending):
        return session
    # The ringing is timed by the node's clock, as the look is; the order by another's.
    overdue_ms = _overdue_ms(session, session.a_ringing_ms or session.started_ms)
    if event.at_ms >= overdue_ms:
        return ending.end(
            session,
            event.at_ms,
            Disposition.NO_ANSWER,
            EndedBy.SWITCH,
            a_cause=causes.NORMAL_CLEARING,
            reason=_why(session, "did not answer"),
            cause=causes.NO_ANSWER,
        )
    wake_ms = max(overdue_ms, event.at_ms + pending.ENDING_PATIENCE_MS)
    return replace(session, wake_ms=wake_ms, looks=0)


def not_reached(session: Session, event: Event) -> Session:
    """The caller's channel is gone before the call could go on: nobody else was called."""
    if session.a_up:
        return ending.cancelled(session, event)
    missed = session.a_end_sign is EndSign.MISSED
    verdict = causes.verdict(session.cause, session.sip_code, session.a_ringing_ms is not None)
    by = {EndSign.HANGUP: EndedBy.CALLER, EndSign.MISSED: EndedBy.UNKNOWN}
    # A reason that is there tells why nobody knew whether it was called.
    why = (
        session.reason if missed and session.reason else _why(session, _WORDS[verdict.disposition])
    )
    return ending.end(
        session,
        session.a_ended_ms or event.at_ms,
        verdict.disposition,
        by.get(session.a_end_sign, EndedBy.SWITCH),
        a_cause=causes.NORMAL_CLEARING,
        reason=why,
        cause=session.cause,
        sip_code=session.sip_code,
    )


_WORDS = {
    **dict.fromkeys(Disposition, "could not be reached"),
    Disposition.BUSY: "was busy",
    Disposition.NO_ANSWER: "did not answer",
    Disposition.TIMEOUT: "did not answer",
    Disposition.REJECTED: "declined",
}


def _go_on(session: Session, event: CallEntered | Listed) -> Session:
    """As a call whose caller has just entered."""
    kept = tuple(each for each in session.pending if not isinstance(each, Originate))
    session = replace(session, pending=kept)
    if session.a_end_sign is not EndSign.NONE:
        return ending.cancelled(session, event)
    session = replace(
        session,
        phase=Phase.ROUTING,
        a_up=session.a_up or session.is_silent,
        reason="",
        wake_ms=event.at_ms + SETUP_PATIENCE_MS,
        looks=0,
    )
    return pending.add(session, FindRoute())


def _overdue_ms(session: Session, from_ms: int) -> int:
    ring_timeout_s = session.order.ring_timeout_s if session.order is not None else 0
    return from_ms + ring_timeout_s * 1000 + RING_GRACE_MS


def _why(session: Session, what: str) -> str:
    if session.order is None or session.order.is_silent:
        return "no channel could be made for the test call"
    return f"phone {session.order.phone} {what}, so nobody was called"
