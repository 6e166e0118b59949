"""Attempts: one trunk after the other, each with its places among the limits, channel and dial.

An attempt that came to nothing leads to the next one only where nobody can have been reached:
whose phone has rung is never rung again by another trunk.
"""

import dataclasses
from collections.abc import Iterable

from msgspec.structs import replace

from calls import causes, ids
from calls.limits.refusals import limit_reached, no_room
from calls.limits.rules import Skip
from calls.machine import digest, ending, facts, pending, slices
from calls.machine.commands import (
    AddToBridge,
    Command,
    CreateBridge,
    CreateChannel,
    Dial,
    Hangup,
    LimitChannel,
    Reserve,
)
from calls.machine.events import CommandDone, CommandFailed, Event, LimitRefused, Reserved
from calls.machine.session import BridgeState, EndSign, Leg, Phase, Session
from calls.routing.targets import Target
from cdr.record import Disposition, EndedBy, Outcome

SETUP_PATIENCE_MS = 5_000
"""How long a step of the set-up may stay without news before Asterisk is asked."""
UNKNOWN_PATIENCE_MS = 1_000
"""How long after a request without an answer its effect must have been heard."""
VANISHED_PAUSE_MS = 300
"""How long after B's channel vanished the trunk is tried again."""
VANISHED_MS = 8_000
"""Until so long after its begin a call waits for a listener; the dialplan waits for 5 s."""
RING_GRACE_MS = 5_000
"""How long after a trunk's ring timeout its end must have been heard."""


def next_attempt(session: Session, at_ms: int) -> Session:
    """Begin the next attempt that may be made, once it has its places among the limits."""
    if session.rules is None or all(target.skipped for target in session.targets):
        return _begin_attempt(session, at_ms)
    return replace(
        session,
        phase=Phase.RESERVING,
        wake_ms=at_ms + SETUP_PATIENCE_MS,
        pending=(*session.pending, Reserve(len(session.legs) + 1)),
    )


def _begin_attempt(session: Session, at_ms: int, skips: Iterable[Skip] = ()) -> Session:
    """Begin the next attempt that may be made; end the call when none is left."""
    skipped = {skip.trunk: skip for skip in skips}
    while session.targets:
        target, rest = session.targets[0], session.targets[1:]
        session = replace(session, targets=rest)
        skip = skipped.get(target.trunk)
        if skip is not None:
            target = dataclasses.replace(target, skipped=skip.why)
        if not target.skipped:
            return _attempt(session, target, at_ms)
        session = note_skipped(session, target, at_ms, skip.reason if skip else "")
    return give_up(session, at_ms)


def reserved(session: Session, event: Reserved) -> Session:
    """The call has its places: begin the attempt, for as long as its first minutes last."""
    session = _on_taken_trunk(slices.granted(session, event), event)
    return _begin_attempt(session, event.at_ms, event.skipped)


def _on_taken_trunk(session: Session, event: Reserved) -> Session:
    """With the trunk on which the call has its place first among those that are not skipped.

    It is that already, unless a worker died before it saved the answer, and the configuration that
    the next one found has the trunks in another order.
    """
    skipped = {skip.trunk for skip in event.skipped}
    passed = [each for each in session.targets if each.trunk in skipped or each.skipped]
    taken = [each for each in session.targets if each.trunk == event.trunk]
    if not taken or taken[0] in passed:
        return session
    others = [each for each in session.targets if each not in passed and each not in taken]
    return replace(session, targets=(*passed, *taken, *others))


def limited(session: Session, event: LimitRefused) -> Session:
    """A limit is reached, and nothing was taken."""
    return ending.end(
        replace(session, rules=None),
        event.at_ms,
        Disposition.LIMITED,
        EndedBy.LIMIT,
        a_cause=causes.NORMAL_UNSPECIFIED,
        reason=limit_reached(event.limit),
        cause=causes.NORMAL_UNSPECIFIED,
    )


def cannot_reserve(session: Session, event: CommandFailed) -> Session:
    """Nobody can count now: only limits that are to be enforced keep the call from going on."""
    if not any(rule.enforce for rule in session.rules or ()):
        return _begin_attempt(session, event.at_ms)
    if any(leg.channel_id for leg in session.attempts):
        return give_up(session, event.at_ms)
    return ending.end(
        session,
        event.at_ms,
        Disposition.CONGESTION,
        EndedBy.SWITCH,
        a_cause=causes.CONGESTION,
        reason=event.reason,
        cause=causes.CONGESTION,
    )


def note_skipped(session: Session, target: Target, at_ms: int, reason: str = "") -> Session:
    """Note an attempt that was not made, and why."""
    leg = Leg(
        number=len(session.legs) + 1,
        channel_id="",
        trunk=target.trunk,
        callee=target.callee,
        caller=target.caller,
        ring_timeout_s=target.ring_timeout_s,
        started_ms=at_ms,
        ended_ms=at_ms,
        outcome=Outcome(f"skipped_{target.skipped}"),
        gone=True,
        reason=reason or target.skipped.of(target.trunk),
    )
    return replace(session, legs=(*session.legs, leg))


def _attempt(session: Session, target: Target, at_ms: int) -> Session:
    number = len(session.legs) + 1
    leg = Leg(
        number=number,
        channel_id=ids.b_channel(session.a_channel, number),
        trunk=target.trunk,
        callee=target.callee,
        caller=target.caller,
        ring_timeout_s=target.ring_timeout_s,
        started_ms=at_ms,
        endpoint=target.endpoint,
    )
    session = replace(session, legs=(*session.legs, leg), target=target)
    limit_s = slices.limit_s(session) + target.ring_timeout_s
    known = digest.encode(session)
    commands: list[Command] = [
        CreateChannel(
            leg.channel_id,
            session.a_channel,
            target.endpoint,
            limit_s,
            target.caller,
            known,
            session.hops + 1,
        )
    ]
    if session.bridge is BridgeState.NONE:
        ringing_s = target.ring_timeout_s + sum(each.ring_timeout_s for each in session.targets)
        commands += [
            CreateBridge(session.bridge_id, known),
            LimitChannel(session.a_channel, slices.limit_s(session) + ringing_s),
        ]
        session = replace(session, bridge=BridgeState.ASKED)
    return replace(
        session,
        phase=Phase.SETUP,
        wake_ms=at_ms + SETUP_PATIENCE_MS,
        pending=(*session.pending, *commands),
    )


def join(session: Session, event: CommandDone) -> Session:
    """Once B's channel and the bridge are there, put both legs into it."""
    leg = session.leg
    if leg is None or not leg.created or session.bridge is not BridgeState.MADE:
        return session
    # A silent caller hears nothing, and what nobody hears would pile up in its channel.
    both = (leg.channel_id,) if session.is_silent else (session.a_channel, leg.channel_id)
    return pending.add(session, AddToBridge(session.bridge_id, both))


def dial(session: Session, event: CommandDone) -> Session:
    """Both legs are in the bridge: now B may ring, and A hears it."""
    leg = session.leg
    if leg is None:
        return session
    session = replace(
        session,
        phase=Phase.DIALLING,
        wake_ms=event.at_ms + leg.ring_timeout_s * 1000 + RING_GRACE_MS,
    )
    # A channel that was there before it was created may have been dialled already.
    return pending.add(session, Dial(leg.channel_id, leg.ring_timeout_s, leg.existed))


def no_channel(session: Session, event: CommandFailed) -> Session:
    """B's channel could not be made."""
    return attempt_failed(
        session,
        event.at_ms,
        event.reason,
        maybe_there=event.unknown,
        of_trunk=not event.of_node,
    )


def no_bridge(session: Session, event: CommandFailed) -> Session:
    """Without a bridge no trunk can help."""
    return ending.end(
        session,
        event.at_ms,
        Disposition.CONGESTION,
        EndedBy.SWITCH,
        a_cause=causes.TEMPORARY_FAILURE,
        reason=event.reason,
        cause=causes.TEMPORARY_FAILURE,
    )


def look_why(session: Session, event: CommandFailed) -> Session:
    """Most often a leg has just gone, and its event is on the way: look before blaming a trunk."""
    leg = session.leg
    if leg is not None and not leg.reason:
        session = facts.with_leg(session, leg.number, reason=event.reason)
    if event.unknown:
        # Had it arrived, Asterisk will say so any moment.
        return replace(session, wake_ms=event.at_ms + UNKNOWN_PATIENCE_MS)
    return pending.look(session, event.at_ms)


def unanswered(session: Session, event: Event) -> Session:
    """The current attempt ended without an answer: hunt on, or pass its outcome to the caller."""
    leg = session.leg
    if leg is None or not leg.gone:
        return session
    if session.a_end_sign is not EndSign.NONE:
        return ending.cancelled(session, event)
    if _has_vanished(session, leg) and event.at_ms < session.started_ms + VANISHED_MS:
        return _once_more(session, leg, event.at_ms)
    if session.targets and verdict_of(leg).hunt is causes.Hunt.NEXT:
        return next_attempt(pending.without_attempt_commands(session), event.at_ms)
    return give_up(session, event.at_ms)


def _has_vanished(session: Session, leg: Leg) -> bool:
    """Whether B's channel went by itself before it was dialled. A channel that is created while
    nobody is connected to the application does, and no trunk can be blamed for it."""
    return session.phase is Phase.SETUP and leg.created and leg.end_sign is EndSign.MISSED


def _once_more(session: Session, leg: Leg, at_ms: int) -> Session:
    """Try the same trunk again, a little later: a listener is about to be there."""
    target = session.target
    if target is None or at_ms < (leg.ended_ms or at_ms) + VANISHED_PAUSE_MS:
        return replace(session, wake_ms=at_ms + VANISHED_PAUSE_MS)
    why = "its channel vanished before it was dialled: no listener was connected"
    session = facts.with_leg(session, leg.number, reason=why)
    session = replace(session, targets=(target, *session.targets))
    return next_attempt(pending.without_attempt_commands(session), at_ms)


def verdict_of(leg: Leg) -> causes.Verdict:
    """What the unanswered end of an attempt means."""
    if leg.end_sign is EndSign.SOFT:
        # Our own dial timeout: Asterisk reports 19/480 whether or not anybody was reached.
        return causes.verdict(102, None, leg.rang)
    return causes.verdict(leg.cause, leg.sip_code, leg.rang)


def attempt_failed(
    session: Session,
    at_ms: int,
    reason: str,
    *,
    maybe_there: bool = True,
    of_trunk: bool = False,
) -> Session:
    """The attempt failed on our side of the trunk: end what there is of it, then hunt on.

    ``of_trunk``: Asterisk could not make a channel of its dial string, so it is the trunk's fault.
    """
    leg = session.leg
    if leg is None:
        return session
    session = pending.without_attempt_commands(session)
    session = facts.with_leg(
        session,
        leg.number,
        outcome=Outcome.FAILED,
        of_trunk=of_trunk,
        reason=leg.reason or reason,
        ended_ms=leg.ended_ms or at_ms,
        cause=leg.cause or causes.CONGESTION,
        gone=leg.gone or not maybe_there,
    )
    if maybe_there and not leg.gone:
        session = pending.add(session, Hangup(leg.channel_id, causes.NORMAL_CLEARING))
    return next_attempt(session, at_ms)


def perhaps_dialled(session: Session, at_ms: int) -> Session:
    """Nobody knows whether B was dialled, and a second dial would kill its channel: end it.

    One that was there before we created it is no fault of its trunk, which is asked once more.
    """
    leg = session.leg
    if leg is not None and leg.existed and leg.endpoint:
        same = Target(leg.trunk, leg.endpoint, leg.callee, leg.caller, leg.ring_timeout_s)
        session = replace(session, targets=(same, *session.targets))
    return attempt_failed(session, at_ms, "it is not known whether B was dialled")


def give_up(session: Session, at_ms: int) -> Session:
    """Nothing is left to try: the caller hears what the last real attempt ended with."""
    tried = [leg for leg in session.attempts if leg.channel_id]
    if not tried:
        verdict, leg = causes.verdict(causes.CONGESTION, None, rang=False), None
        reason = no_room(each.reason for each in session.attempts)
    else:
        leg = tried[-1]
        verdict = verdict_of(leg)
        reason = leg.reason
    by = EndedBy.CALLEE
    if leg is None or leg.end_sign is EndSign.SOFT or leg.outcome is Outcome.FAILED:
        by = EndedBy.SWITCH
    elif leg.end_sign is EndSign.MISSED:
        by = EndedBy.UNKNOWN
    return ending.end(
        session,
        (leg.ended_ms if leg else None) or at_ms,
        verdict.disposition,
        by,
        a_cause=verdict.caller_cause,
        reason=reason,
        cause=(leg.cause if leg else None) or verdict.caller_cause,
        sip_code=leg.sip_code if leg else None,
    )
