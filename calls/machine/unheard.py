"""Ends of calls that heard no answer: some of them talked all the same (see told_late.py)."""

from calls.machine import attempts, ending, ordered, talk
from calls.machine.events import ChannelDestroyed, ChannelEnd, Listed
from calls.machine.session import Session
from cdr.record import Outcome


def caller_left(session: Session, event: ChannelEnd) -> Session:
    """The caller has left."""
    return talk.answered(session, event) if _talked(session) else ending.cancelled(session, event)


def phone_left(session: Session, event: ChannelDestroyed) -> Session:
    """The phone of an ordered call is gone."""
    if _talked(session):
        return talk.answered(session, event)
    return ordered.not_reached(session, event)


def callee_left(session: Session, event: ChannelDestroyed) -> Session:
    """B's channel is gone."""
    if _talked(session):
        return talk.answered(session, event)
    return attempts.unanswered(session, event)


def talk_ends(session: Session, event: ChannelEnd) -> Session:
    """A channel of B's ends; only after a talk does that mean anything yet."""
    return talk.answered(session, event) if _talked(session) else session


def phone_looked(session: Session, event: Listed) -> Session:
    """What Asterisk holds of an ordered call whose phone is being called."""
    return talk.answered(session, event) if _talked(session) else ordered.looked(session, event)


def _talked(session: Session) -> bool:
    """Whether the current attempt was answered. An answer that crossed with the end of one that was
    given up is no talk: the caller waits for the next one."""
    leg = session.leg
    return leg is not None and leg.answered_ms is not None and leg.outcome is not Outcome.FAILED
