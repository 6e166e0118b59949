"""A call that Redis has forgotten, or never knew, begun again from what Asterisk holds of it. Pure.

Who talks goes on talking, and the call has its record and its places among the limits. A caller who
waits is routed anew: what rang for them is ended first, since nobody knows what has become of it.
What is left of a call whose caller or callee has gone meanwhile is ended, with its record. A phone
that is called for an order rings on, and is connected to whom the order named.
"""

from msgspec.structs import replace

from calls import causes
from calls.machine import digest, ending, ordered, pending, slices, talk
from calls.machine.attempts import SETUP_PATIENCE_MS
from calls.machine.commands import Answer, FindRoute, Hangup
from calls.machine.events import CallFound
from calls.machine.session import BridgeState, EndSign, Leg, Phase, Session
from calls.machine.told_late import DIALPLAN_LIMIT_S, unknown_leg
from calls.routing.choice import account_keys
from cdr.record import Disposition, Outcome

BEGUN_ANEW = "its call was forgotten by Redis and begun anew"


def rebuild(call_id: str, event: CallFound) -> Session:
    """The session of a call of which nothing but this was found."""
    session = _session(call_id, event)
    if _has_talked(event):
        return _talking(session, event)
    if event.phone and session.order is not None:
        return ordered.found(session, event)
    if not (event.present or event.phone):
        return ending.cancelled(replace(session, phase=Phase.DIALLING), event)
    if ordered.is_forgotten(session):
        return ordered.forgotten(session, event.at_ms)
    return _anew(session, event)


def caught_up(session: Session, event: CallFound) -> Session:
    """A call of which Redis remembers less than there is: it went back to before an attempt that
    has been answered since. What is under way for it is ended, and who talks goes on talking."""
    up = [number for number, state in event.legs if state == "Up"]
    if max(up, default=0) <= len(session.legs):
        return session
    found = rebuild(session.call_id, event)
    known = {leg.number: leg for leg in session.legs if leg.channel_id and not leg.gone}
    former = [replace(leg, gone=leg.number not in known and leg.gone) for leg in found.legs[:-1]]
    found = replace(
        found,
        legs=(*former, found.legs[-1]),
        started_ms=session.started_ms,
        hops=session.hops,
        canary=session.canary,
        note=session.note,
    )
    return _without_former_legs(found, former)


def _session(call_id: str, event: CallFound) -> Session:
    known = digest.decode(event.digest, event.channel_id)
    session = Session(
        call_id=call_id,
        phase=Phase.ROUTING,
        started_ms=event.started_ms or event.at_ms,
        channel_name=event.channel_name,
        dialled=event.dialled,
        caller_number=event.caller_number,
        caller_name=event.caller_name,
        account_keys=account_keys(event.account_code, event.channel_name),
        wake_ms=event.at_ms + SETUP_PATIENCE_MS,
        account=event.account_code,
        # The limit that it really has still stands in Asterisk.
        max_call_s=DIALPLAN_LIMIT_S,
        bridge=BridgeState.MADE if event.bridge else BridgeState.NONE,
        a_sip_call_id=event.sip_call_id,
        a_up=event.up,
        hops=event.hops,
        recovered=True,
    )
    if known is not None:
        facts = {name: getattr(known, name) for name in digest.Digest.__slots__}
        session = replace(session, **facts)
    if session.order is not None:
        # Nobody answers in the place of a silent caller.
        a_up = session.a_up or session.is_silent
        name = session.channel_name or ordered.endpoint_of(session.order)
        session = replace(session, channel_name=name, a_up=a_up)
    if not (event.present or event.phone):
        session = replace(session, a_gone=True, a_ended_ms=event.at_ms, a_end_sign=EndSign.MISSED)
    return replace(session, legs=_legs(session, event))


def _legs(session: Session, event: CallFound) -> tuple[Leg, ...]:
    """The attempts of the digest and those listed, each as it is now."""
    states = dict(event.legs)
    known = {leg.number: leg for leg in session.legs}
    # A bridge without an attempt has had one.
    last = max((*known, *states, 1 if event.bridge else 0))
    return tuple(
        _leg(known.get(number) or unknown_leg(session, number), states.get(number), event)
        for number in range(1, last + 1)
    )


def _leg(leg: Leg, state: str | None, event: CallFound) -> Leg:
    if not leg.channel_id:
        return replace(leg, gone=True)
    if state is None:
        ended_ms = leg.ended_ms or event.at_ms
        return replace(leg, gone=True, end_sign=EndSign.MISSED, ended_ms=ended_ms)
    if state == "Up":
        return replace(leg, dialled=True, answered_ms=event.answered_ms or event.at_ms)
    if state == "Ringing":
        return replace(leg, dialled=True, ringing_ms=event.at_ms)
    return leg


def _has_talked(event: CallFound) -> bool:
    """Whether B had answered. An answered caller alone with a bridge had somebody in it."""
    # A phone that was called for an order, or whom the dialplan answered, was up before B was.
    left_alone = event.up and event.bridge and not event.legs and not digest.was_up(event.digest)
    return (
        event.answered_ms is not None or left_alone or any(state == "Up" for _, state in event.legs)
    )


def _talking(session: Session, event: CallFound) -> Session:
    answered_ms = event.answered_ms or event.at_ms
    *former, leg = session.legs or (unknown_leg(session, 1),)
    if leg.answered_ms is None:
        # It was answered, and is no more.
        leg = replace(leg, dialled=True, answered_ms=answered_ms)
    session = replace(
        session,
        phase=Phase.TALKING,
        legs=(*former, leg),
        answered_ms=answered_ms,
        disposition=Disposition.ANSWERED,
    )
    session = slices.resumed(session, event.at_ms)
    session = replace(session, wake_ms=slices.wake_ms(session))
    if session.a_gone or leg.gone:
        return talk.end_of_talk(session, event)
    if not session.a_up:
        session = pending.add(session, Answer(session.a_channel))
    return _without_former_legs(session, former)


def _anew(session: Session, event: CallFound) -> Session:
    legs = tuple(
        leg if leg.gone else replace(leg, outcome=Outcome.FAILED, reason=BEGUN_ANEW)
        for leg in session.legs
    )
    session = replace(session, legs=legs, rules=None, capped_by="")
    return pending.add(_without_former_legs(session, legs), FindRoute())


def _without_former_legs(session: Session, former: tuple[Leg, ...] | list[Leg]) -> Session:
    ends = [Hangup(leg.channel_id, causes.NORMAL_CLEARING) for leg in former if not leg.gone]
    return pending.add(session, *ends)
