"""Doubt: when something that should have been heard was not, what Asterisk holds decides."""

from msgspec.structs import replace

from calls import causes
from calls.machine import attempts, ending, facts, ordered, pending, slices, talk, told_late
from calls.machine.commands import DestroyBridge, Dial, Hangup, LimitChannel, Release
from calls.machine.events import CommandFailed, Doubted, Listed
from calls.machine.session import BridgeState, EndSign, Phase, Session
from calls.machine.told_late import DIALPLAN_LIMIT_S

LAST_SLACK_MS = 60_000
"""Looking for a route, setting up, and clocks that differ: so much later a channel may end."""


def doubt(session: Session, event: Doubted) -> Session:
    """Look, whatever the call is doing."""
    return pending.look(session, event.at_ms)


def doubt_in_talk(session: Session, event: Doubted) -> Session:
    """A call that wakes at its hard limit has reached it, before that it may have to ask for its
    next minutes; at any other time it looks.
    """
    if slices.is_due(session, event.at_ms):
        return slices.ask(session, event.at_ms)
    late_ms = event.at_ms - talk.limit_ms(session)
    if 0 <= late_ms <= talk.LIMIT_SLACK_MS:
        return talk.limit_reached(session, event.at_ms)
    return pending.look(session, event.at_ms)


def cannot_look(session: Session, event: CommandFailed) -> Session:
    """A node that cannot be asked, or is not known any more: past the call's last possible moment
    Asterisk's own limits have ended its channels, wherever they were."""
    if event.at_ms < _last_moment_ms(session):
        return session
    session = _all_gone(replace(session, recovered=True), event.at_ms)
    if session.phase is Phase.ENDING:
        return session
    if session.phase is Phase.TALKING:
        return _all_gone(talk.end_of_talk(session, event), event.at_ms)
    return _all_gone(ending.cancelled(session, event), event.at_ms)


def _last_moment_ms(session: Session) -> int:
    """When TIMEOUT(absolute) has struck on every channel of the call: it counts from the set-up and
    is the hard limit and all ringing; before the set-up it is the dialplan's own."""
    if session.phase is Phase.CALLING:
        return session.started_ms + ordered.limit_s(session) * 1000 + LAST_SLACK_MS
    longest_s = session.max_call_s or DIALPLAN_LIMIT_S
    longest_s += sum(leg.ring_timeout_s for leg in session.legs)
    longest_s += sum(target.ring_timeout_s for target in session.targets)
    return session.started_ms + longest_s * 1000 + LAST_SLACK_MS


def _all_gone(session: Session, at_ms: int) -> Session:
    """The session of a call of which nothing is left in Asterisk, nor anything to be done there."""
    session = facts.found_gone(session, session.a_channel, at_ms)
    for leg in session.legs:
        session = facts.found_gone(session, leg.channel_id, at_ms)
    bridge = session.bridge if session.bridge is BridgeState.NONE else BridgeState.GONE
    kept = tuple(each for each in session.pending if isinstance(each, Release))
    return replace(session, bridge=bridge, pending=kept)


def looked_before_setup(session: Session, event: Listed) -> Session:
    """Before the set-up only the caller can be missing."""
    return ending.cancelled(session, event) if session.a_gone else session


def looked_in_setup(session: Session, event: Listed) -> Session:
    """An attempt that nothing is pending for has come to nothing."""
    settled = _settle_unanswered(session, event)
    if settled is not None:
        return settled
    if any(not isinstance(each, LimitChannel | Hangup) for each in session.pending):
        return session
    return attempts.attempt_failed(
        session, event.at_ms, "the set-up of the attempt came to nothing"
    )


def looked_while_dialling(session: Session, event: Listed) -> Session:
    """B rings on, or has rung for too long, or nobody knows whether it was dialled."""
    settled = _settle_unanswered(session, event)
    leg = session.leg
    if settled is not None or leg is None:
        return settled or session
    if any(isinstance(each, Dial) for each in session.pending):
        return session
    if not leg.dialled and not leg.rang:
        return attempts.perhaps_dialled(session, event.at_ms)
    overdue_ms = leg.started_ms + leg.ring_timeout_s * 1000 + attempts.RING_GRACE_MS
    if event.at_ms >= overdue_ms:
        reason = f"no answer within {leg.ring_timeout_s} s"
        session = facts.with_leg(session, leg.number, end_sign=EndSign.SOFT, reason=reason)
        return pending.add(
            attempts.give_up(session, event.at_ms), Hangup(leg.channel_id, causes.NORMAL_CLEARING)
        )
    return replace(
        session, wake_ms=max(overdue_ms, event.at_ms + pending.ENDING_PATIENCE_MS), looks=0
    )


def _settle_unanswered(session: Session, event: Listed) -> Session | None:
    """What a look settles before the answer: the caller left, B left, or B is up. Else None."""
    leg = session.leg
    if told_late.talks_later(session, event):
        return replace(session, pending=(), wake_ms=event.at_ms + pending.ENDING_PATIENCE_MS)
    if leg is not None and leg.answered_ms is not None:
        # Also where the caller has gone meanwhile: they talked, and nobody heard of it.
        return talk.answered(session, event)
    if session.a_gone:
        return ending.cancelled(session, event)
    if leg is None or not leg.channel_id:
        return None
    # An attempt still being created is absent because it is not there yet, not because it ended.
    return attempts.unanswered(session, event) if leg.gone else None


def looked_while_talking(session: Session, event: Listed) -> Session:
    """Somebody has gone unheard, or the limit was missed, or all is well."""
    leg = session.leg
    if session.a_gone or leg is None or leg.gone:
        return talk.end_of_talk(session, event)
    if event.at_ms >= talk.limit_ms(session):
        # Nobody was there to end it in time, and Asterisk's later limit has not struck yet.
        return talk.limit_reached(session, event.at_ms)
    return replace(session, wake_ms=slices.wake_ms(session), looks=0)


def looked_while_ending(session: Session, event: Listed) -> Session:
    """What is still there did not hear us, or we were not there to say it: say it again."""
    if not session.a_gone:
        session = pending.add(session, Hangup(session.a_channel, session.a_cause))
    for leg in session.legs:
        if not leg.gone:
            session = pending.add(session, Hangup(leg.channel_id, causes.NORMAL_CLEARING))
    if session.bridge in (BridgeState.ASKED, BridgeState.MADE):
        session = pending.add(session, DestroyBridge(session.bridge_id))
    return session
