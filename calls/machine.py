"""The call machine: what a call does next, decided without any I/O and without a clock.

    begin(call_id, event)  -> session          a caller's channel entered Stasis
    decide(session, event) -> session          its `pending` commands are what is to be done

Rules that keep it right
  * **Facts first, then decisions.** `calls.facts.record` notes what the event says (who is up,
    gone, ringing) in any phase; then the one handler for (phase, signal) decides, if there is one.
    No handler means: the fact is noted and nothing needs doing.
  * **Monotonic.** Events may come twice, out of order or never. A fact once noted stays; the phase
    goes back only from dialling to setup, for the next attempt.
  * **A call that is over stays over**, and a channel already known starts nothing.
  * **Commands are state.** What is pending is saved with the session; what an event made
    pointless (answering a channel that is up, ending one that is gone) is dropped from it.
  * **Doubt looks.** When something that should have been heard was not, the machine asks Asterisk
    what it holds (LookUp) and goes on from that, never from a guess.

The table `TABLE` is the machine; docs/machine.md draws it (`python -m calls.diagram`).
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from calls import causes, facts, ids
from calls.commands import (
    AddToBridge,
    Answer,
    Command,
    CreateBridge,
    CreateChannel,
    DestroyBridge,
    Dial,
    FindRoute,
    Hangup,
    LimitChannel,
    LookUp,
    Release,
    Reserve,
)
from calls.events import (
    CallEntered,
    CallRefused,
    CommandFailed,
    Event,
    HangupAsked,
    LimitRefused,
    Reserved,
    RouteChosen,
)
from calls.limit_rules import Skip
from calls.routing import Plan, Refusal, Target, endpoint_of
from calls.session import BridgeState, EndSign, Leg, Phase, Session
from cdr.record import Disposition, EndedBy

SETUP_PATIENCE_MS = 5_000
"""How long a step of the set-up may stay without news before Asterisk is asked."""
UNKNOWN_PATIENCE_MS = 1_000
"""How long after a request without an answer its effect must have been heard."""
RING_GRACE_MS = 5_000
"""How long after a trunk's ring timeout its end must have been heard."""
LIMIT_SLACK_MS = 1_000
"""Asterisk's timer and ours may differ by this much when we tell who ended a call."""
ENDING_PATIENCE_MS = 2_000
"""How long a channel that was told to end may stay silent before Asterisk is asked."""
MAX_PATIENCE_MS = 60_000
"""The longest time between two looks at the same call while Asterisk cannot be reached."""

Handler = Callable[[Session, Event], Session]
TABLE: dict[tuple[Phase, str], tuple[Handler, tuple[Phase, ...]]] = {}
"""(phase, signal) → the handler, and the phases it may lead to; it may always stay."""

UNANSWERED = (Phase.ROUTING, Phase.RESERVING, Phase.SETUP, Phase.DIALLING)
LIVE = (*UNANSWERED, Phase.TALKING)
A_ENDS = ("a hangup", "a left", "a destroyed")
B_ENDS = ("b hangup", "b left", "b destroyed")


def decide(session: Session, event: Event) -> Session:
    """The call after *event*."""
    if session.phase is Phase.OVER:
        return session
    signal = facts.signal(session, event)
    session = facts.record(session, event)
    found = TABLE.get((session.phase, signal))
    if found is not None:
        session = found[0](session, event)
    return _close_if_done(session)


def lingers(session: Session) -> bool:
    """Whether the events that finish the call are a few milliseconds away."""
    return session.phase is Phase.ENDING and not session.pending


def _on(phases: Phase | tuple[Phase, ...], *signals: str, to: tuple[Phase, ...]) -> Callable:
    """Enter a handler into the table."""

    def enter(handler: Handler) -> Handler:
        for phase in phases if isinstance(phases, tuple) else (phases,):
            for signal in signals:
                TABLE[phase, signal] = (handler, to)
        return handler

    return enter


# --- Beginning and routing ------------------------------------------------------------------------


def begin(call_id: str, event: CallEntered) -> Session:
    """The call that begins with this channel."""
    keys = (event.account_code, endpoint_of(event.channel_name))
    return Session(
        call_id=call_id,
        phase=Phase.ROUTING,
        started_ms=event.at_ms,
        channel_name=event.channel_name,
        dialled=event.dialled,
        caller_number=event.caller_number,
        caller_name=event.caller_name,
        account_keys=tuple(dict.fromkeys(key for key in keys if key)),
        wake_ms=event.at_ms + SETUP_PATIENCE_MS,
        a_up=event.up,
        recovered=event.recovered,
        pending=(FindRoute(),),
    )


@_on(Phase.ROUTING, "route chosen", to=(Phase.RESERVING, Phase.SETUP, Phase.ENDING))
def _route(session: Session, event: Event) -> Session:
    assert isinstance(event, RouteChosen)  # noqa: S101 - the table says so
    plan: Plan = event.plan
    session = replace(
        session,
        account=plan.account,
        callee=plan.callee,
        caller=plan.caller,
        prefix=plan.prefix,
        route=plan.route,
        max_call_s=plan.max_call_s,
        capped_by=event.capped_by,
        rules=event.rules,
        targets=plan.targets,
    )
    return _next_attempt(session, event.at_ms)


@_on(Phase.ROUTING, "call refused", to=(Phase.ENDING,))
def _refuse(session: Session, event: Event) -> Session:
    assert isinstance(event, CallRefused)  # noqa: S101 - the table says so
    refusal: Refusal = event.refusal
    session = replace(
        session,
        account=refusal.account,
        callee=refusal.callee,
        caller=refusal.caller,
        prefix=refusal.prefix,
        route=refusal.route,
    )
    for target in refusal.targets:
        session = _skip(session, target, event.at_ms)
    return _end(
        session,
        event.at_ms,
        refusal.disposition,
        EndedBy.SWITCH,
        a_cause=refusal.cause,
        reason=refusal.reason,
        cause=refusal.cause,
    )


# --- Attempts -------------------------------------------------------------------------------------


def _next_attempt(session: Session, at_ms: int) -> Session:
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
            target = replace(target, skipped=skip.why)
        if not target.skipped:
            return _attempt(session, target, at_ms)
        session = _skip(session, target, at_ms, skip.reason if skip else "")
    return _give_up(session, at_ms)


@_on(Phase.RESERVING, "reserved", to=(Phase.SETUP, Phase.ENDING))
def _reserved(session: Session, event: Event) -> Session:
    assert isinstance(event, Reserved)  # noqa: S101 - the table says so
    if event.talk_s is not None and event.talk_s < session.max_call_s:
        session = replace(session, max_call_s=event.talk_s, capped_by=event.by)
    return _begin_attempt(session, event.at_ms, event.skipped)


@_on(Phase.RESERVING, "limit refused", to=(Phase.ENDING,))
def _limited(session: Session, event: Event) -> Session:
    assert isinstance(event, LimitRefused)  # noqa: S101 - the table says so
    return _end(
        replace(session, rules=None),
        event.at_ms,
        Disposition.LIMITED,
        EndedBy.LIMIT,
        a_cause=causes.NORMAL_UNSPECIFIED,
        reason=f"the limit is reached: {event.limit}",
        cause=causes.NORMAL_UNSPECIFIED,
    )


@_on(Phase.RESERVING, "failed reserve", to=(Phase.SETUP, Phase.ENDING))
def _cannot_reserve(session: Session, event: Event) -> Session:
    """Nobody can count now: only limits that are to be enforced keep the call from going on."""
    assert isinstance(event, CommandFailed)  # noqa: S101 - the table says so
    if not any(rule.enforce for rule in session.rules or ()):
        return _begin_attempt(session, event.at_ms)
    if any(leg.channel_id for leg in session.legs):
        return _give_up(session, event.at_ms)
    return _end(
        session,
        event.at_ms,
        Disposition.CONGESTION,
        EndedBy.SWITCH,
        a_cause=causes.CONGESTION,
        reason=event.reason,
        cause=causes.CONGESTION,
    )


def _skip(session: Session, target: Target, at_ms: int, reason: str = "") -> Session:
    leg = Leg(
        number=len(session.legs) + 1,
        channel_id="",
        trunk=target.trunk,
        callee=target.callee,
        caller=target.caller,
        ring_timeout_s=target.ring_timeout_s,
        started_ms=at_ms,
        ended_ms=at_ms,
        outcome=f"skipped_{target.skipped}",
        gone=True,
        reason=reason or f"trunk {target.trunk} {target.why_skipped}",
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
    )
    limit_s = session.max_call_s + target.ring_timeout_s
    commands: list[Command] = [
        CreateChannel(leg.channel_id, session.a_channel, target.endpoint, limit_s, target.caller)
    ]
    if session.bridge is BridgeState.NONE:
        ringing_s = target.ring_timeout_s + sum(each.ring_timeout_s for each in session.targets)
        commands += [
            CreateBridge(session.bridge_id),
            LimitChannel(session.a_channel, session.max_call_s + ringing_s),
        ]
        session = replace(session, bridge=BridgeState.ASKED)
    return replace(
        session,
        phase=Phase.SETUP,
        legs=(*session.legs, leg),
        wake_ms=at_ms + SETUP_PATIENCE_MS,
        pending=(*session.pending, *commands),
    )


@_on(Phase.SETUP, "done create_channel", "done create_bridge", to=())
def _join(session: Session, event: Event) -> Session:
    leg = session.leg
    if leg is None or not leg.created or session.bridge is not BridgeState.MADE:
        return session
    both = (session.a_channel, leg.channel_id)
    return _add(session, AddToBridge(session.bridge_id, both))


@_on(Phase.SETUP, "done add_to_bridge", to=(Phase.DIALLING,))
def _dial(session: Session, event: Event) -> Session:
    leg = session.leg
    if leg is None:
        return session
    session = replace(
        session,
        phase=Phase.DIALLING,
        wake_ms=event.at_ms + leg.ring_timeout_s * 1000 + RING_GRACE_MS,
    )
    return _add(session, Dial(leg.channel_id, leg.ring_timeout_s))


@_on(Phase.SETUP, "failed create_channel", to=(Phase.RESERVING, Phase.ENDING))
def _no_channel(session: Session, event: Event) -> Session:
    assert isinstance(event, CommandFailed)  # noqa: S101 - the table says so
    return _attempt_failed(session, event.at_ms, event.reason, maybe_there=event.unknown)


@_on((Phase.RESERVING, Phase.SETUP), "failed create_bridge", to=(Phase.ENDING,))
def _no_bridge(session: Session, event: Event) -> Session:
    assert isinstance(event, CommandFailed)  # noqa: S101 - the table says so
    return _end(
        session,
        event.at_ms,
        Disposition.CONGESTION,
        EndedBy.SWITCH,
        a_cause=causes.TEMPORARY_FAILURE,
        reason=event.reason,
        cause=causes.TEMPORARY_FAILURE,
    )


@_on(Phase.SETUP, "failed add_to_bridge", to=())
@_on(Phase.DIALLING, "failed dial", to=())
def _look_why(session: Session, event: Event) -> Session:
    """Most often a leg has just gone, and its event is on the way: look before blaming a trunk."""
    assert isinstance(event, CommandFailed)  # noqa: S101 - the table says so
    leg = session.leg
    if leg is not None and not leg.reason:
        session = facts.with_leg(session, leg.number, reason=event.reason)
    if event.unknown:
        # Had it arrived, Asterisk will say so any moment.
        return replace(session, wake_ms=event.at_ms + UNKNOWN_PATIENCE_MS)
    return _look(session, event.at_ms)


@_on(Phase.SETUP, "b destroyed", to=(Phase.RESERVING, Phase.ENDING))
@_on(Phase.DIALLING, "b destroyed", to=(Phase.RESERVING, Phase.SETUP, Phase.ENDING))
def _unanswered(session: Session, event: Event) -> Session:
    """The current attempt ended without an answer: hunt on, or pass its outcome to the caller."""
    leg = session.leg
    if leg is None or not leg.gone:
        return session
    if session.a_end_sign is not EndSign.NONE:
        return _cancelled(session, event)
    if session.targets and verdict_of(leg).hunt is causes.Hunt.NEXT:
        return _next_attempt(_without_attempt_commands(session), event.at_ms)
    return _give_up(session, event.at_ms)


def verdict_of(leg: Leg) -> causes.Verdict:
    """What the unanswered end of an attempt means."""
    if leg.end_sign is EndSign.SOFT:
        # Our own dial timeout: Asterisk reports 19/480 whether or not anybody was reached.
        return causes.verdict(102, None, leg.rang)
    return causes.verdict(leg.cause, leg.sip_code, leg.rang)


def _attempt_failed(session: Session, at_ms: int, reason: str, maybe_there: bool = True) -> Session:
    """The attempt failed on our side of the trunk: end what there is of it, then hunt on."""
    leg = session.leg
    if leg is None:
        return session
    session = _without_attempt_commands(session)
    session = facts.with_leg(
        session,
        leg.number,
        outcome="failed",
        reason=leg.reason or reason,
        ended_ms=leg.ended_ms or at_ms,
        cause=leg.cause or causes.CONGESTION,
        gone=leg.gone or not maybe_there,
    )
    if maybe_there and not leg.gone:
        session = _add(session, Hangup(leg.channel_id, causes.NORMAL_CLEARING))
    return _next_attempt(session, at_ms)


def _give_up(session: Session, at_ms: int) -> Session:
    """Nothing is left to try: the caller hears what the last real attempt ended with."""
    tried = [leg for leg in session.legs if leg.channel_id]
    if not tried:
        skipped = ", ".join(leg.reason for leg in session.legs)
        verdict, leg, reason = causes.verdict(causes.CONGESTION, None, rang=False), None, skipped
    else:
        leg = tried[-1]
        verdict = verdict_of(leg)
        reason = leg.reason
    by = EndedBy.CALLEE
    if leg is None or leg.end_sign is EndSign.SOFT or leg.outcome == "failed":
        by = EndedBy.SWITCH
    elif leg.end_sign is EndSign.MISSED:
        by = EndedBy.UNKNOWN
    return _end(
        session,
        (leg.ended_ms if leg else None) or at_ms,
        verdict.disposition,
        by,
        a_cause=verdict.caller_cause,
        reason=reason,
        cause=(leg.cause if leg else None) or verdict.caller_cause,
        sip_code=leg.sip_code if leg else None,
    )


# --- The answer and the talk ----------------------------------------------------------------------


@_on((Phase.SETUP, Phase.DIALLING), "b answered", to=(Phase.TALKING,))
def _answered(session: Session, event: Event) -> Session:
    """B is up: from here it is a conversation, and we wake when its hard limit is reached.

    Asterisk's own limits on both legs stand since the set-up. They count the ringing too, so they
    strike later, and only when none of us is there to end the call in time.
    """
    leg = session.leg
    if leg is None or leg.answered_ms is None:
        return session
    session = replace(
        _without_attempt_commands(session),
        phase=Phase.TALKING,
        answered_ms=leg.answered_ms,
        disposition=Disposition.ANSWERED,
        wake_ms=leg.answered_ms + session.max_call_s * 1000,
    )
    if not session.a_up:
        session = _add(session, Answer(session.a_channel))
    return _end_of_talk(session, event) if leg.gone or session.a_ended_ms else session


@_on(Phase.TALKING, *A_ENDS, *B_ENDS, to=(Phase.ENDING,))
def _end_of_talk(session: Session, event: Event) -> Session:
    ends = [(session.a_ended_ms, session.a_end_sign, EndedBy.CALLER)]
    if session.leg is not None:
        ends.append((session.leg.ended_ms, session.leg.end_sign, EndedBy.CALLEE))
    seen = [(at_ms, sign, side) for at_ms, sign, side in ends if at_ms is not None]
    if not seen:
        return session
    ended_ms, sign, side = min(seen, key=lambda end: end[0])
    limit_ms = _limit_ms(session)
    if sign is EndSign.VANISHED and ended_ms >= limit_ms - LIMIT_SLACK_MS:
        return _limit_reached(session, ended_ms)
    if sign is EndSign.MISSED:
        # Found gone some time after it ended: Asterisk did not let it live past its limit.
        ended_ms = min(ended_ms, limit_ms)
    by = {EndSign.SOFT: EndedBy.SWITCH, EndSign.MISSED: EndedBy.UNKNOWN}.get(sign, side)
    return _end(
        session,
        ended_ms,
        Disposition.ANSWERED,
        by,
        a_cause=causes.NORMAL_CLEARING,
        cause=causes.NORMAL_CLEARING,
        sip_code=200,
    )


def _limit_ms(session: Session) -> int:
    return (session.answered_ms or 0) + session.max_call_s * 1000


def _limit_reached(session: Session, at_ms: int) -> Session:
    why = f" ({session.capped_by})" if session.capped_by else ""
    return _end(
        session,
        at_ms,
        Disposition.ANSWERED,
        EndedBy.LIMIT,
        a_cause=causes.NORMAL_CLEARING,
        reason=f"the hard limit of {session.max_call_s} s was reached{why}",
        cause=102,
        sip_code=200,
    )


# --- The caller leaves, or a person ends the call -------------------------------------------------


@_on(UNANSWERED, *A_ENDS, to=(Phase.ENDING,))
def _cancelled(session: Session, event: Event) -> Session:
    """The caller is gone before any answer: whatever was begun for them ends at once."""
    return _end(
        session,
        session.a_ended_ms or event.at_ms,
        Disposition.CANCELLED,
        EndedBy.UNKNOWN if session.a_end_sign is EndSign.MISSED else EndedBy.CALLER,
        a_cause=causes.NORMAL_CLEARING,
        cause=session.cause,
        sip_code=487,
    )


@_on(LIVE, "asked", to=(Phase.ENDING,))
def _asked(session: Session, event: Event) -> Session:
    assert isinstance(event, HangupAsked)  # noqa: S101 - the table says so
    answered = session.answered_ms is not None
    return _end(
        session,
        event.at_ms,
        Disposition.ANSWERED if answered else Disposition.CANCELLED,
        EndedBy.ADMIN,
        a_cause=causes.NORMAL_CLEARING if answered else causes.NORMAL_UNSPECIFIED,
        reason=f"hung up by {event.by}",
        cause=causes.NORMAL_CLEARING,
        sip_code=200 if answered else None,
    )


# --- Ending ---------------------------------------------------------------------------------------


def _end(
    session: Session,
    at_ms: int,
    disposition: Disposition,
    ended_by: EndedBy,
    *,
    a_cause: int,
    reason: str = "",
    cause: int | None = None,
    sip_code: int | None = None,
) -> Session:
    """Take the call down: every channel of it that is not already ending, and the bridge."""
    session = replace(
        session,
        phase=Phase.ENDING,
        ended_ms=at_ms,
        disposition=disposition,
        ended_by=ended_by,
        a_cause=a_cause,
        cause=cause,
        sip_code=sip_code,
        reason=reason,
        targets=(),
        looks=0,
        wake_ms=at_ms + ENDING_PATIENCE_MS,
        pending=tuple(each for each in session.pending if isinstance(each, Hangup)),
    )
    if session.rules:
        talk_ms = 0 if session.answered_ms is None else max(0, at_ms - session.answered_ms)
        session = _add(session, Release(talk_ms))
    if session.a_end_sign is EndSign.NONE and not session.a_gone:
        session = _add(session, Hangup(session.a_channel, a_cause))
    for leg in session.legs:
        if not leg.gone and leg.end_sign is EndSign.NONE:
            session = _add(session, Hangup(leg.channel_id, causes.NORMAL_CLEARING))
    if session.bridge in (BridgeState.ASKED, BridgeState.MADE):
        session = _add(session, DestroyBridge(session.bridge_id))
    return session


def _close_if_done(session: Session) -> Session:
    if (
        session.phase is Phase.ENDING
        and not session.pending
        and session.a_gone
        and all(leg.gone for leg in session.legs)
        and session.bridge in (BridgeState.NONE, BridgeState.GONE)
    ):
        return replace(session, phase=Phase.OVER)
    return session


# --- Doubt ----------------------------------------------------------------------------------------


@_on((*UNANSWERED, Phase.ENDING), "doubted", to=())
def _doubt(session: Session, event: Event) -> Session:
    return _look(session, event.at_ms)


@_on(Phase.TALKING, "doubted", to=(Phase.ENDING,))
def _doubt_in_talk(session: Session, event: Event) -> Session:
    late_ms = event.at_ms - _limit_ms(session)
    if 0 <= late_ms <= LIMIT_SLACK_MS:
        return _limit_reached(session, event.at_ms)
    return _look(session, event.at_ms)


def _look(session: Session, at_ms: int) -> Session:
    channels = tuple(leg.channel_id for leg in session.legs if not leg.gone)
    if not session.a_gone:
        channels = (session.a_channel, *channels)
    patience = min(ENDING_PATIENCE_MS * 2**session.looks, MAX_PATIENCE_MS)
    session = replace(session, looks=min(session.looks + 1, 10), wake_ms=at_ms + patience)
    return _add(session, LookUp(channels, session.bridge_id))


@_on((Phase.ROUTING, Phase.RESERVING), "listed", to=(Phase.ENDING,))
def _looked_before_setup(session: Session, event: Event) -> Session:
    return _cancelled(session, event) if session.a_gone else session


@_on(Phase.SETUP, "listed", to=(Phase.RESERVING, Phase.TALKING, Phase.ENDING))
def _looked_in_setup(session: Session, event: Event) -> Session:
    settled = _settle_unanswered(session, event)
    if settled is not None:
        return settled
    if any(not isinstance(each, LimitChannel) for each in session.pending):
        return session
    return _attempt_failed(session, event.at_ms, "the set-up of the attempt came to nothing")


@_on(Phase.DIALLING, "listed", to=(Phase.RESERVING, Phase.SETUP, Phase.TALKING, Phase.ENDING))
def _looked_while_dialling(session: Session, event: Event) -> Session:
    settled = _settle_unanswered(session, event)
    leg = session.leg
    if settled is not None or leg is None:
        return settled or session
    if any(isinstance(each, Dial) for each in session.pending):
        return session
    if not leg.dialled and not leg.rang:
        return _attempt_failed(session, event.at_ms, "it is not known whether B was dialled")
    overdue_ms = leg.started_ms + leg.ring_timeout_s * 1000 + RING_GRACE_MS
    if event.at_ms >= overdue_ms:
        reason = f"no answer within {leg.ring_timeout_s} s"
        session = facts.with_leg(session, leg.number, end_sign=EndSign.SOFT, reason=reason)
        return _add(_give_up(session, event.at_ms), Hangup(leg.channel_id, causes.NORMAL_CLEARING))
    return replace(session, wake_ms=max(overdue_ms, event.at_ms + ENDING_PATIENCE_MS), looks=0)


def _settle_unanswered(session: Session, event: Event) -> Session | None:
    """What a look settles before the answer: the caller left, B left, or B is up. Else None."""
    leg = session.leg
    if session.a_gone:
        return _cancelled(session, event)
    if leg is None or not leg.channel_id:
        return None
    if leg.answered_ms is not None:
        return _answered(session, event)
    # An attempt still being created is absent because it is not there yet, not because it ended.
    return _unanswered(session, event) if leg.gone else None


@_on(Phase.TALKING, "listed", to=(Phase.ENDING,))
def _looked_while_talking(session: Session, event: Event) -> Session:
    leg = session.leg
    if session.a_gone or leg is None or leg.gone:
        return _end_of_talk(session, event)
    if event.at_ms >= _limit_ms(session):
        # Nobody was there to end it in time, and Asterisk's later limit has not struck yet.
        return _limit_reached(session, event.at_ms)
    return replace(session, wake_ms=_limit_ms(session), looks=0)


@_on(Phase.ENDING, "listed", to=(Phase.OVER,))
def _looked_while_ending(session: Session, event: Event) -> Session:
    """What is still there did not hear us, or we were not there to say it: say it again."""
    if not session.a_gone:
        session = _add(session, Hangup(session.a_channel, session.a_cause))
    for leg in session.legs:
        if not leg.gone:
            session = _add(session, Hangup(leg.channel_id, causes.NORMAL_CLEARING))
    if session.bridge in (BridgeState.ASKED, BridgeState.MADE):
        session = _add(session, DestroyBridge(session.bridge_id))
    return session


# --- Pending commands -----------------------------------------------------------------------------


def _add(session: Session, *commands: Command) -> Session:
    new = tuple(each for each in commands if each not in session.pending)
    return replace(session, pending=(*session.pending, *new)) if new else session


def _without_attempt_commands(session: Session) -> Session:
    """What was still to be done for an attempt that is decided now is void."""
    kept = tuple(
        each
        for each in session.pending
        if not isinstance(each, CreateChannel | AddToBridge | Dial | LookUp)
    )
    return replace(session, pending=kept)
