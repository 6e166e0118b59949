"""The answer, the talk, and who ended it."""

from msgspec.structs import replace

from calls import causes
from calls.machine import ending, pending, slices
from calls.machine.commands import Answer, Play
from calls.machine.events import Event
from calls.machine.session import EndSign, Phase, Session
from cdr.record import Disposition, EndedBy

SOUND = "sound:tt-monkeys,sound:tt-monkeys"
"""What is played to whoever answers a call that nobody places: twice the sound of Asterisk's own
that one cannot mistake, 33 s in all."""
LIMIT_SLACK_MS = 1_000
"""Asterisk's timer and ours may differ by this much when we tell who ended a call."""


def answered(session: Session, event: Event) -> Session:
    """B is up: from here it is a conversation, and we wake when its hard limit is reached, or
    to ask for its next minutes.

    Asterisk's own limits on both legs stand since the set-up. They count the ringing too, so they
    strike later, and only when none of us is there to end the call in time.
    """
    leg = session.leg
    if leg is None or leg.answered_ms is None:
        return session
    session = replace(
        pending.without_attempt_commands(session),
        phase=Phase.TALKING,
        answered_ms=leg.answered_ms,
        disposition=Disposition.ANSWERED,
    )
    session = replace(slices.guarded(session, event.at_ms), wake_ms=slices.wake_ms(session))
    if session.is_silent:
        session = pending.add(session, Play(session.bridge_id, SOUND))
    elif not session.a_up:
        session = pending.add(session, Answer(session.a_channel))
    return end_of_talk(session, event) if leg.ended_ms or session.a_ended_ms else session


def end_of_talk(session: Session, event: Event) -> Session:
    """One side has gone: whichever went first ended the call."""
    ends = [(session.a_ended_ms, session.a_end_sign, EndedBy.CALLER)]
    if session.leg is not None:
        ends.append((session.leg.ended_ms, session.leg.end_sign, EndedBy.CALLEE))
    seen = [(at_ms, sign, side) for at_ms, sign, side in ends if at_ms is not None]
    if not seen:
        return session
    ended_ms, sign, side = min(seen, key=lambda end: end[0])
    latest_ms = limit_ms(session)
    if sign is EndSign.VANISHED and ended_ms >= latest_ms - LIMIT_SLACK_MS:
        return limit_reached(session, ended_ms)
    if sign is EndSign.MISSED:
        # Found gone some time after it ended: Asterisk did not let it live past its limit.
        ended_ms = min(ended_ms, latest_ms)
    by = {EndSign.SOFT: EndedBy.SWITCH, EndSign.MISSED: EndedBy.UNKNOWN}.get(sign, side)
    return ending.end(
        session,
        ended_ms,
        Disposition.ANSWERED,
        by,
        a_cause=causes.NORMAL_CLEARING,
        cause=causes.NORMAL_CLEARING,
        sip_code=200,
    )


def limit_ms(session: Session) -> int:
    """When the talk must end by what is known now, in milliseconds since the epoch."""
    return slices.end_ms(session)


def limit_reached(session: Session, at_ms: int) -> Session:
    """The talk has reached its hard limit: end it, and say which limit it was."""
    why = f" ({session.capped_by})" if session.capped_by else ""
    reason = f"the hard limit of {session.max_call_s} s was reached{why}"
    if session.granted_s is not None:
        reason = f"its minutes could not be counted past {session.granted_s} s"
        reason += f" ({session.granted_by})"
    return ending.end(
        session,
        at_ms,
        Disposition.ANSWERED,
        EndedBy.LIMIT,
        a_cause=causes.NORMAL_CLEARING,
        reason=reason,
        cause=102,
        sip_code=200,
    )
