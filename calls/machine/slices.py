"""Talk whose minutes a limit counts: it lasts a slice, and asks for the next before that ends.

While `Session.granted_s` is set, the talk may last so long by what has been spent for it, and more
is asked for in time. It is None for a call whose minutes nobody counts, and once nothing more is to
be asked for: then the hard limit stands.

Asterisk's own limits follow each slice on both legs, so that a talk ends with its slice even when
none of us is alive.
"""

from msgspec.structs import replace

from calls.limits import slices
from calls.limits.rules import Metric
from calls.machine import pending
from calls.machine.commands import Extend, LimitChannel
from calls.machine.events import CommandFailed, Extended, Reserved
from calls.machine.session import Session

RESUMED_S = 5
"""How long a talk that was rebuilt goes on while it asks for its minutes."""


def limit_s(session: Session) -> int:
    """How long the talk may last by what is known now."""
    granted = session.granted_s
    return session.max_call_s if granted is None else min(granted, session.max_call_s)


def end_ms(session: Session) -> int:
    """When the talk must end by what is known now, in milliseconds since the epoch."""
    return (session.answered_ms or 0) + limit_s(session) * 1000


def wake_ms(session: Session) -> int:
    """When a talk must be looked at: at its end, or to ask for its next slice."""
    end = end_ms(session)
    return end if session.granted_s is None else slices.asks_ms(end, session.slice_s)


def granted(session: Session, event: Reserved) -> Session:
    """What the counters say of the call's minutes before it is dialled."""
    if event.talk_s is None:
        return session
    if event.talk_s >= session.max_call_s:
        return replace(session, granted_s=None)
    return replace(session, granted_s=event.talk_s, slice_s=event.talk_s, granted_by=event.by)


def resumed(session: Session, at_ms: int) -> Session:
    """A talk of which nobody knows any more what was spent for it: it asks at once."""
    minutes = (rule.metric is Metric.MINUTES and rule.enforce for rule in session.rules or ())
    if not any(minutes):
        return session
    talked_s = -(-max(0, at_ms - (session.answered_ms or at_ms)) // 1000)
    return replace(session, granted_s=talked_s + RESUMED_S, slice_s=2 * RESUMED_S)


def guarded(session: Session, at_ms: int) -> Session:
    """Let Asterisk end both legs a little after the talk's slice, counted from now."""
    leg = session.leg
    if session.granted_s is None or leg is None:
        return session
    left_s = max(0, end_ms(session) - at_ms) // 1000 + slices.GRACE_S
    both = (session.a_channel, leg.channel_id)
    return pending.add(session, *(LimitChannel(channel, left_s) for channel in both))


def is_due(session: Session, at_ms: int) -> bool:
    """Whether the next slice is to be asked for."""
    return session.granted_s is not None and wake_ms(session) <= at_ms < end_ms(session)


def ask(session: Session, at_ms: int) -> Session:
    """Ask for the next slice, and again soon if nobody answers."""
    session = replace(session, wake_ms=min(at_ms + slices.AGAIN_MS, end_ms(session)))
    return pending.add(session, Extend(session.granted_s or 0))


def extended(session: Session, event: Extended) -> Session:
    """Talk on for another slice; or to the end of this one, when no minutes are left."""
    had_s = session.granted_s
    if had_s is None or event.talk_s < had_s:
        return session
    if event.talk_s == had_s:
        session = replace(session, granted_s=None, max_call_s=had_s, capped_by=event.by)
        return replace(session, wake_ms=end_ms(session))
    session = replace(
        session, granted_s=event.talk_s, slice_s=event.talk_s - had_s, granted_by=event.by
    )
    if event.talk_s >= session.max_call_s:
        session = guarded(session, event.at_ms)
        session = replace(session, granted_s=None)
        return replace(session, wake_ms=end_ms(session))
    return replace(guarded(session, event.at_ms), wake_ms=wake_ms(session))


def not_extended(session: Session, event: CommandFailed) -> Session:
    """Nobody can count now: ask again, until the slice ends and the talk with it."""
    return replace(session, wake_ms=min(event.at_ms + slices.AGAIN_MS, end_ms(session)))
