"""Noting what an event says, in any phase of a call. Deciding what follows is calls/machine.py's.

Every note is monotonic: a time once noted is not moved, a channel once gone stays gone, so an
event that comes twice or late changes nothing.
"""

from dataclasses import replace
from typing import Any

from calls.commands import (
    AddToBridge,
    Answer,
    CreateBridge,
    CreateChannel,
    DestroyBridge,
    Dial,
    FindRoute,
    Hangup,
    LimitChannel,
    LookUp,
    Reserve,
)
from calls.events import (
    CallEntered,
    CallRefused,
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelLeft,
    ChannelProgressed,
    ChannelRinging,
    CommandDone,
    CommandFailed,
    Doubted,
    Event,
    HangupAsked,
    HangupRequested,
    LimitRefused,
    Listed,
    Reserved,
    RouteChosen,
)
from calls.session import BridgeState, EndSign, Leg, Phase, Session


def signal(session: Session, event: Event) -> str:
    """The event as the machine's table names it: ``b answered``, ``done dial``, ``listed``."""
    match event:
        case CommandDone():
            return f"done {event.command.tag}"
        case CommandFailed():
            return f"failed {event.command.tag}"
        case Listed():
            return "listed"
        case RouteChosen():
            return "route chosen"
        case CallRefused():
            return "call refused"
        case Reserved():
            return "reserved"
        case LimitRefused():
            return "limit refused"
        case HangupAsked() | Doubted() | CallEntered():
            return event.tag
    return f"{_side(session, event.channel_id)} {event.tag}"


def _side(session: Session, channel_id: str) -> str:
    if channel_id == session.a_channel:
        return "a"
    leg = session.leg
    return "b" if leg is not None and leg.channel_id == channel_id else "former b"


def record(session: Session, event: Event) -> Session:
    """The session with the event's facts noted and pointless commands dropped."""
    match event:
        case CommandDone():
            session = _done(session, event)
        case CommandFailed():
            session = _without(session, event.command)
        case Listed():
            session = _listed(session, event)
        case RouteChosen() | CallRefused():
            session = _without(session, FindRoute())
        case Reserved() | LimitRefused():
            session = _without_kind(session, Reserve)
        case HangupAsked() | Doubted() | CallEntered():
            return session
        case _ if event.channel_id == session.a_channel:
            session = _of_a(session, event)
        case _:
            session = _of_leg(session, event)
    return _drop_pointless(session)


def with_leg(session: Session, number: int, **changes: Any) -> Session:
    """The session with the leg of that number changed."""
    legs = tuple(replace(leg, **changes) if leg.number == number else leg for leg in session.legs)
    return replace(session, legs=legs)


def _of_a(session: Session, event: Event) -> Session:
    match event:
        case ChannelAnswered():
            return replace(session, a_up=True)
        case HangupRequested():
            session = _a_ended(session, event.at_ms, _sign(event))
            if event.cause is not None and not event.soft and session.answered_ms is None:
                session = replace(session, cause=session.cause or event.cause)
            return session
        case ChannelLeft() | ChannelDestroyed():
            session = _a_ended(session, event.at_ms, EndSign.VANISHED)
            return replace(session, a_gone=True)
    return session


def _a_ended(session: Session, at_ms: int, sign: EndSign) -> Session:
    if session.a_end_sign is not EndSign.NONE:
        return session
    return replace(session, a_ended_ms=at_ms, a_end_sign=sign)


def _sign(event: HangupRequested) -> EndSign:
    return EndSign.SOFT if event.soft else EndSign.HANGUP


def _of_leg(session: Session, event: Event) -> Session:
    channel_id = getattr(event, "channel_id", "")
    leg = next((each for each in session.legs if each.channel_id == channel_id), None)
    if leg is None:
        return session
    changes = _leg_changes(leg, event)
    return with_leg(session, leg.number, **changes) if changes else session


def _leg_changes(leg: Leg, event: Event) -> dict[str, Any]:
    match event:
        case ChannelDialled():
            return {"dialled": True}
        case ChannelProgressed(at_ms=at_ms):
            return {"dialled": True, "progress_ms": _first(leg.progress_ms, at_ms)}
        case ChannelRinging(at_ms=at_ms):
            return {"dialled": True, "ringing_ms": _first(leg.ringing_ms, at_ms)}
        case ChannelAnswered(at_ms=at_ms):
            return {"dialled": True, "answered_ms": _first(leg.answered_ms, at_ms)}
        case HangupRequested():
            changes = _leg_ended(leg, event.at_ms, _sign(event))
            if event.cause is not None and not event.soft:
                changes["cause"] = leg.cause or event.cause
            return changes
        case ChannelLeft():
            return _leg_ended(leg, event.at_ms, EndSign.VANISHED)
        case ChannelDestroyed():
            changes = _leg_ended(leg, event.at_ms, EndSign.VANISHED)
            return changes | {
                "gone": True,
                "cause": event.cause or leg.cause,
                "sip_code": event.sip_code or leg.sip_code,
            }
    return {}


def _leg_ended(leg: Leg, at_ms: int, sign: EndSign) -> dict[str, Any]:
    if leg.end_sign is not EndSign.NONE:
        return {}
    return {"ended_ms": _first(leg.ended_ms, at_ms), "end_sign": sign}


def _first(noted: int | None, at_ms: int) -> int:
    return at_ms if noted is None else noted


def _done(session: Session, event: CommandDone) -> Session:
    session = _without(session, event.command)
    match event.command:
        case CreateChannel(channel_id=channel_id):
            return _note_leg(session, channel_id, created=True)
        case Dial(channel_id=channel_id):
            return _note_leg(session, channel_id, dialled=True)
        case CreateBridge() if session.bridge is BridgeState.ASKED:
            return replace(session, bridge=BridgeState.MADE)
        case DestroyBridge():
            return replace(session, bridge=BridgeState.GONE)
        case Hangup(channel_id=channel_id) if event.gone:
            return _found_gone(session, channel_id, event.at_ms)
    return session


def _note_leg(session: Session, channel_id: str, **changes: Any) -> Session:
    leg = next((each for each in session.legs if each.channel_id == channel_id), None)
    return with_leg(session, leg.number, **changes) if leg is not None else session


def _found_gone(session: Session, channel_id: str, at_ms: int) -> Session:
    """A channel is not there any more and its end was not heard of."""
    if channel_id == session.a_channel:
        missed = session.a_end_sign is EndSign.NONE
        session = _a_ended(session, at_ms, EndSign.MISSED)
        recovered = session.recovered or (missed and session.phase is not Phase.ENDING)
        return replace(session, a_gone=True, recovered=recovered)
    leg = next((each for each in session.legs if each.channel_id == channel_id), None)
    if leg is None or leg.gone:
        return session
    missed = leg.end_sign is EndSign.NONE
    changes = _leg_ended(leg, at_ms, EndSign.MISSED) | {"gone": True}
    recovered = session.recovered or (missed and session.phase is not Phase.ENDING)
    return replace(with_leg(session, leg.number, **changes), recovered=recovered)


def _listed(session: Session, event: Listed) -> Session:
    looks = [each for each in session.pending if isinstance(each, LookUp)]
    # What was not asked for, such as a leg made since, is not gone because it was not listed.
    asked = {channel for look in looks for channel in look.channel_ids}
    session = _without_kind(session, LookUp)
    a_asked = session.a_channel in asked
    if a_asked and session.a_channel not in event.channels and not session.a_gone:
        session = _found_gone(session, session.a_channel, event.at_ms)
    elif event.channels.get(session.a_channel) == "Up":
        session = replace(session, a_up=True)
    for leg in session.legs:
        if leg.gone or leg.channel_id not in asked:
            continue
        state = event.channels.get(leg.channel_id)
        if state is None:
            session = _found_gone(session, leg.channel_id, event.at_ms)
        elif state == "Up" and leg.answered_ms is None:
            session = with_leg(session, leg.number, dialled=True, answered_ms=event.at_ms)
            session = replace(session, recovered=True)
        elif state == "Ringing" and leg.ringing_ms is None:
            session = with_leg(session, leg.number, dialled=True, ringing_ms=event.at_ms)
    if session.phase is Phase.ENDING and not event.bridge:
        session = replace(session, bridge=_bridge_gone(session.bridge))
    return session


def _bridge_gone(bridge: BridgeState) -> BridgeState:
    return bridge if bridge is BridgeState.NONE else BridgeState.GONE


def _without(session: Session, command: object) -> Session:
    return replace(session, pending=tuple(each for each in session.pending if each != command))


def _without_kind(session: Session, kind: type) -> Session:
    kept = tuple(each for each in session.pending if not isinstance(each, kind))
    return replace(session, pending=kept)


def _drop_pointless(session: Session) -> Session:
    """Without the commands whose purpose is fulfilled or whose channel is no more."""
    if not session.pending:
        return session
    gone = {leg.channel_id for leg in session.legs if leg.gone}
    dialled = {leg.channel_id for leg in session.legs if leg.dialled}
    if session.a_gone:
        gone.add(session.a_channel)

    def pointless(command: object) -> bool:
        match command:
            case Answer(channel_id=channel_id):
                return session.a_up or channel_id in gone
            case Dial(channel_id=channel_id):
                return channel_id in dialled or channel_id in gone
            case Hangup(channel_id=channel_id) | LimitChannel(channel_id=channel_id):
                return channel_id in gone
            case CreateChannel(channel_id=channel_id):
                return channel_id in gone
            case AddToBridge(channel_ids=channel_ids):
                return not gone.isdisjoint(channel_ids)
        return False

    kept = tuple(each for each in session.pending if not pointless(each))
    return session if len(kept) == len(session.pending) else replace(session, pending=kept)
