"""An answer of which only the end tells: the call has not heard it, or has forgotten it. Pure.

Redis may go back by a second, to before the answer; and nobody may have listened when B answered.
A comparison finds both sides up, but the caller may hang up before it does. So each end says what
is known of the answer: the listener's memory first, else whether the channel was Up.
"""

from msgspec.structs import replace

from calls import ids
from calls.machine.events import ChannelEnd, Listed
from calls.machine.session import BridgeState, Leg, Phase, Session
from cdr.record import Outcome

UNANSWERED = (Phase.CALLING, Phase.ROUTING, Phase.RESERVING, Phase.SETUP, Phase.DIALLING)
MOST_FORGOTTEN = 20
"""Attempts that a call can have made since what is remembered of it; more are not believed."""
DIALPLAN_LIMIT_S = 14_400
"""TIMEOUT(absolute) of a caller before the set-up, as in asterisk/etc."""


def note(session: Session, event: ChannelEnd) -> Session:
    """The session with the answer of which the end tells noted, if it tells of one."""
    if session.phase not in UNANSWERED:
        return session
    number, answered_ms = _answer(session, event)
    if not number or not _may_have_answered(session, number):
        return session
    *others, leg = _with_legs(session, number)
    if leg.answered_ms is not None:
        return session
    leg = replace(leg, created=True, dialled=True, answered_ms=answered_ms)
    return replace(
        session,
        legs=(*others, leg),
        recovered=True,
        # Before the route nobody knows more of whom to bill than the caller's channel says.
        account=session.account or next(iter(session.account_keys), ""),
        # They talked in it, and the limit that they really had stood in Asterisk.
        bridge=BridgeState.MADE if session.bridge is BridgeState.NONE else session.bridge,
        max_call_s=session.max_call_s or DIALPLAN_LIMIT_S,
    )


def note_listed(session: Session, event: Listed) -> Session:
    """The same where a look finds the caller answered, and B, who was being called, gone: they
    talked, and nobody heard anything of it. For how long nobody can tell: not at all."""
    leg = session.leg
    a_answered = not session.a_up and event.channels.get(session.a_channel) == "Up"
    if not a_answered or session.phase not in (Phase.SETUP, Phase.DIALLING) or session.order:
        return session
    if leg is None or not leg.created or leg.gone or leg.channel_id in event.channels:
        return session
    if any(map(_was_given_up, session.legs)) or talks_later(session, event):
        return session
    answered = replace(leg, dialled=True, answered_ms=leg.answered_ms or event.at_ms)
    return replace(session, legs=(*session.legs[:-1], answered), recovered=True)


def talks_later(session: Session, event: Listed) -> bool:
    """Whether an attempt is up that Redis has forgotten; a comparison tells of it in a moment."""
    known = {leg.channel_id for leg in session.legs} | {session.a_channel}
    return any(state == "Up" for name, state in event.channels.items() if name not in known)


def _answer(session: Session, event: ChannelEnd) -> tuple[int, int]:
    """Which attempt was answered and when; 0 where the end tells of no answer.

    A caller who was not up when the call began is answered by us alone, once B is up. When that
    was nobody can tell any more, so the talk counts from its end.
    """
    attempt = ids.attempt_of(event.channel_id)
    if event.answered_leg:
        # Of another attempt's talk the end of one tells nothing: it may go on.
        of_it = attempt in (0, event.answered_leg)
        return (event.answered_leg, event.answered_ms) if of_it else (0, 0)
    if not event.up:
        return 0, 0
    if attempt:
        return attempt, event.at_ms
    if session.a_up or session.order is not None or any(map(_was_given_up, session.legs)):
        # It was up for another reason, or may have been.
        return 0, 0
    return _current(session), event.at_ms


def _current(session: Session) -> int:
    """The attempt under way, or the one that was about to be made."""
    leg = session.leg
    is_done = leg is None or leg.gone or not leg.channel_id
    return len(session.legs) + is_done


def _was_given_up(leg: Leg) -> bool:
    return leg.outcome is Outcome.FAILED


def _may_have_answered(session: Session, number: int) -> bool:
    """Whether it is the current attempt, or one that is not remembered. The answer of one that was
    given up begins no talk."""
    known = len(session.legs)
    if number != known:
        return known < number <= known + MOST_FORGOTTEN
    leg = session.legs[-1]
    return bool(leg.channel_id) and not leg.gone and not _was_given_up(leg)


def unknown_leg(session: Session, number: int) -> Leg:
    """An attempt of which only the number is known."""
    return Leg(
        number=number,
        channel_id=ids.b_channel(session.a_channel, number),
        trunk="",
        callee=session.callee,
        caller=session.caller,
        ring_timeout_s=0,
        started_ms=session.started_ms,
        created=True,
    )


def _with_legs(session: Session, upto: int) -> tuple[Leg, ...]:
    """An attempt for each number, those that were forgotten too."""
    forgotten = range(len(session.legs) + 1, upto + 1)
    return (*session.legs, *(unknown_leg(session, number) for number in forgotten))
