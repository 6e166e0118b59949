"""Noting what an event says, in any phase of a call. Deciding what follows is the table's.

Every note is monotonic: a time once noted is not moved, a channel once gone stays gone, so an
event that comes twice or late changes nothing.
"""

from typing import Any

from msgspec.structs import replace

from calls.machine import told_late
from calls.machine.commands import (
    AddToBridge,
    Answer,
    CreateBridge,
    CreateChannel,
    DestroyBridge,
    Dial,
    Extend,
    FindRoute,
    Hangup,
    LimitChannel,
    LookUp,
    Originate,
    Reserve,
)
from calls.machine.events import (
    CallEntered,
    CallFound,
    CallOrdered,
    CallRefused,
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelEnd,
    ChannelLeft,
    ChannelProgressed,
    ChannelRinging,
    CommandDone,
    CommandFailed,
    Doubted,
    Event,
    Extended,
    HangupAsked,
    HangupRequested,
    LimitRefused,
    Listed,
    Reserved,
    RouteChosen,
)
from calls.machine.session import BridgeState, EndSign, Leg, Phase, Session


def note(session: Session, event: Event) -> Session:
    """The session with the event's facts noted and pointless commands dropped."""
    if isinstance(event, ChannelEnd) and session.answered_ms is None:
        session = told_late.note(session, event)
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
        case Extended():
            session = _without_kind(session, Extend)
        case CallEntered(up=up) if session.phase is Phase.CALLING and (up or session.is_silent):
            session = _entered(session, event)
        case HangupAsked() | Doubted() | CallEntered() | CallOrdered() | CallFound():
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


def _entered(session: Session, event: CallEntered) -> Session:
    """The caller who was called is there."""
    session = replace(
        session,
        channel_name=event.channel_name,
        a_sip_call_id=event.sip_call_id or session.a_sip_call_id,
        recovered=session.recovered or event.recovered,
    )
    return _a_up(session, event.at_ms) if event.up else session


def _a_up(session: Session, at_ms: int) -> Session:
    if session.phase is not Phase.CALLING:
        return replace(session, a_up=True)
    return replace(session, a_up=True, a_answered_ms=_first(session.a_answered_ms, at_ms))


def _of_a(session: Session, event: Event) -> Session:
    if session.phase is Phase.CALLING:
        session = _of_called_a(session, event)
    match event:
        case ChannelAnswered():
            return _a_up(session, event.at_ms)
        case HangupRequested():
            session = _a_ended(session, event.at_ms, _sign(event))
            if event.cause is not None and not event.soft and session.answered_ms is None:
                session = replace(session, cause=session.cause or event.cause)
            return session
        case ChannelLeft() | ChannelDestroyed():
            session = _a_ended(session, event.at_ms, EndSign.VANISHED)
            return replace(session, a_gone=True, a_media=event.media or session.a_media)
    return session


def _of_called_a(session: Session, event: Event) -> Session:
    """What only the caller's channel of an ordered call tells: it is called, as B is."""
    match event:
        case ChannelDialled():
            return replace(session, a_sip_call_id=session.a_sip_call_id or event.sip_call_id)
        case ChannelRinging() | ChannelProgressed():
            return replace(session, a_ringing_ms=_first(session.a_ringing_ms, event.at_ms))
        case ChannelDestroyed():
            return replace(
                session,
                cause=event.cause or session.cause,
                sip_code=event.sip_code or session.sip_code,
                a_sip_call_id=session.a_sip_call_id or event.sip_call_id,
            )
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
            return {"dialled": True, "sip_call_id": leg.sip_call_id or event.sip_call_id}
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
            changes = _leg_ended(leg, event.at_ms, EndSign.VANISHED)
            return changes | {"media": event.media or leg.media}
        case ChannelDestroyed():
            changes = _leg_ended(leg, event.at_ms, EndSign.VANISHED)
            return changes | {
                "gone": True,
                "cause": event.cause or leg.cause,
                "sip_code": event.sip_code or leg.sip_code,
                "sip_call_id": leg.sip_call_id or event.sip_call_id,
                "media": event.media or leg.media,
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
            return _note_leg(session, channel_id, created=True, existed=event.existed)
        case Dial(channel_id=channel_id):
            return _note_leg(session, channel_id, dialled=True)
        case CreateBridge() if session.bridge is BridgeState.ASKED:
            return replace(session, bridge=BridgeState.MADE)
        case DestroyBridge():
            return replace(session, bridge=BridgeState.GONE)
        case Hangup(channel_id=channel_id) if event.gone:
            return found_gone(session, channel_id, event.at_ms)
    return session


def _note_leg(session: Session, channel_id: str, **changes: Any) -> Session:
    leg = next((each for each in session.legs if each.channel_id == channel_id), None)
    return with_leg(session, leg.number, **changes) if leg is not None else session


def found_gone(session: Session, channel_id: str, at_ms: int) -> Session:
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
    if a_asked and session.leg is not None and session.leg.channel_id in asked:
        session = told_late.note_listed(session, event)
    if a_asked and session.a_channel not in event.channels and not session.a_gone:
        session = found_gone(session, session.a_channel, event.at_ms)
    elif event.channels.get(session.a_channel) == "Up":
        session = _a_up(session, event.at_ms)
    elif event.channels.get(session.a_channel) == "Ringing" and session.phase is Phase.CALLING:
        session = replace(session, a_ringing_ms=_first(session.a_ringing_ms, event.at_ms))
    for leg in session.legs:
        if leg.gone or leg.channel_id not in asked:
            continue
        state = event.channels.get(leg.channel_id)
        if state is None:
            session = found_gone(session, leg.channel_id, event.at_ms)
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
            case Originate(channel_id=channel_id):
                heard = session.a_sip_call_id or session.a_ringing_ms is not None
                return session.a_up or bool(heard) or channel_id in gone
            case AddToBridge(channel_ids=channel_ids):
                return not gone.isdisjoint(channel_ids)
        return False

    kept = tuple(each for each in session.pending if not pointless(each))
    return session if len(kept) == len(session.pending) else replace(session, pending=kept)
