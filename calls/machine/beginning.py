"""How a call begins: the caller enters, and the directory says where the call goes."""

from msgspec.structs import replace

from calls.machine import attempts, ending, ordered
from calls.machine.attempts import SETUP_PATIENCE_MS
from calls.machine.commands import FindRoute
from calls.machine.events import CallEntered, CallRefused, RouteChosen
from calls.machine.session import Phase, Session
from calls.routing.choice import CallFacts, account_keys, source_of
from cdr.record import EndedBy


def facts_of(session: Session) -> CallFacts:
    """What its route is chosen by."""
    return CallFacts(
        session.call_id,
        session.dialled,
        session.caller_number,
        session.account_keys,
        session.started_ms,
        session.hops,
        session.order.trunk if session.order is not None else "",
        source_of(next(iter(session.account_keys), ""), session.channel_name),
    )


def begin(call_id: str, event: CallEntered) -> Session:
    """The call that begins with this channel."""
    return Session(
        call_id=call_id,
        phase=Phase.ROUTING,
        started_ms=event.at_ms,
        channel_name=event.channel_name,
        dialled=event.dialled,
        caller_number=event.caller_number,
        caller_name=event.caller_name,
        account_keys=account_keys(event.account_code, event.channel_name),
        wake_ms=event.at_ms + SETUP_PATIENCE_MS,
        a_sip_call_id=event.sip_call_id,
        a_up=event.up,
        recovered=event.recovered,
        hops=event.hops,
        pending=(FindRoute(),),
    )


def route(session: Session, event: RouteChosen) -> Session:
    """The call may go somewhere: begin its first attempt."""
    plan = event.plan
    session = replace(
        session,
        account=plan.account,
        callee=plan.callee,
        caller=plan.caller,
        prefix=plan.prefix,
        route=plan.route,
        max_call_s=ordered.longest_s(session, plan.max_call_s),
        capped_by=event.capped_by,
        rules=event.rules,
        note=plan.note,
        canary=plan.canary,
        targets=plan.targets,
        first_attempt=len(session.legs) + 1,
    )
    return attempts.next_attempt(session, event.at_ms)


def refuse(session: Session, event: CallRefused) -> Session:
    """The call goes nowhere: tell the caller why by the cause."""
    refusal = event.refusal
    session = replace(
        session,
        account=refusal.account,
        callee=refusal.callee,
        caller=refusal.caller,
        prefix=refusal.prefix,
        route=refusal.route,
        canary=refusal.canary,
    )
    for target in refusal.targets:
        session = attempts.note_skipped(session, target, event.at_ms)
    return ending.end(
        session,
        event.at_ms,
        refusal.disposition,
        EndedBy.SWITCH,
        a_cause=refusal.cause,
        reason=refusal.reason,
        cause=refusal.cause,
    )
