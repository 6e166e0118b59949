"""Ends of calls that heard no answer: some of them talked all the same (see told_late.py)."""

from calls.machine import attempts, ending, ordered, talk
from calls.machine.events import ChannelDestroyed, ChannelEnd
from calls.machine.session import Session


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


def _talked(session: Session) -> bool:
    return session.leg is not None and session.leg.answered_ms is not None
