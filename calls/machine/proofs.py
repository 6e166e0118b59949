"""What an attempt proves about its trunk, told once, when it is known.

An attempt failed when the trunk itself was at fault: congestion, no answer to the INVITE at all, a
refused login, or a channel that Asterisk could not make of its dial string. A busy or unknown
number is the callee's affair and proves the trunk. An attempt that the caller gave up says nothing,
nor does one that failed because Asterisk could not be asked.
"""

from collections.abc import Iterator

from calls.machine.attempts import verdict_of
from calls.machine.session import EndSign, Leg, Session
from cdr.record import Disposition, Outcome

FAULTS = frozenset({Disposition.CONGESTION, Disposition.TIMEOUT, Disposition.TRUNK_AUTH})


def settled(before: Session, after: Session) -> Iterator[tuple[str, bool]]:
    """The trunks of which the step from *before* to *after* tells whether they work."""
    known = {leg.number: leg for leg in before.legs}
    for leg in after.legs:
        works = _works(after, leg)
        earlier = known.get(leg.number)
        if works is not None and (earlier is None or _works(before, earlier) is None):
            yield leg.trunk, works


def _works(session: Session, leg: Leg) -> bool | None:
    if not leg.channel_id:
        return None
    if leg.outcome is Outcome.FAILED:
        return False if leg.of_trunk else None
    if leg.rang or leg.answered_ms is not None:
        return True
    given_up = session.a_end_sign is not EndSign.NONE or (
        session.disposition is Disposition.CANCELLED
    )
    if not leg.gone or given_up or leg.end_sign is EndSign.MISSED:
        return None
    return verdict_of(leg).disposition not in FAULTS
