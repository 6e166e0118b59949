"""Former attempts: a leg that was given up is ended, and ended again until it is gone.

The call has gone on meanwhile, so whatever such a leg still does is void: its ringing ends, and its
answer begins no talk.
"""

from collections.abc import Callable, Iterator
from functools import wraps

from msgspec.structs import replace

from calls import causes
from calls.machine import pending
from calls.machine.commands import Hangup
from calls.machine.events import ChannelEvent, Listed
from calls.machine.session import Leg, Phase, Session
from cdr.record import Outcome

_PAST = (Phase.ENDING, Phase.OVER)
"""Then every leg is ended alike."""
AGAIN_MS = 1_000
"""How soon a leg whose end failed, or was not heard, is ended again."""


def end_again(session: Session, event: ChannelEvent | Listed) -> Session:
    """End every former leg that is not known to be gone."""
    if session.phase in _PAST:
        return session
    ends = (Hangup(leg.channel_id, causes.NORMAL_CLEARING) for leg in _left(session))
    return pending.add(session, *ends)


def watched(session: Session, at_ms: int) -> Session:
    """The session, to be looked at soon while a former leg of it is not known to be gone."""
    soon_ms = at_ms + AGAIN_MS
    if session.phase in _PAST or session.wake_ms <= soon_ms or not any(_left(session)):
        return session
    return replace(session, wake_ms=soon_ms)


def _left(session: Session) -> Iterator[Leg]:
    """The legs that were given up and are not known to be gone; the last is one before the next."""
    for leg in session.legs:
        if not leg.gone and (leg.outcome is Outcome.FAILED or leg is not session.legs[-1]):
            yield leg


def besides(handler: Callable[[Session, Listed], Session]) -> Callable[[Session, Listed], Session]:
    """The handler of a look; it also ends whatever former leg is still there."""

    @wraps(handler)
    def looked(session: Session, event: Listed) -> Session:
        return end_again(handler(session, event), event)

    return looked
