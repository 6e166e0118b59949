"""A call in one true sentence.

It is made of what the machine noted (session and legs), never of guesses: each trunk in the order
tried, with what came of it, and then who ended the call and why.
"""

from calls.machine.session import EndSign, Leg, Phase, Session
from calls.routing.targets import Skipped
from cdr.record import Disposition, EndedBy, Outcome

_SKIPPED = {
    Skipped.FULL: "was full",
    Skipped.DOWN: "was down",
    Skipped.DISABLED: "was disabled",
    Skipped.CPS: "had had its calls of that second",
    Skipped.NUMBER: "could not be sent this number",
    Skipped.DRAINED: "was drained",
}


def sentence(session: Session, now_ms: int, heard: int | None = None) -> str:
    """What happened, or is happening at *now_ms* (ms since the epoch).

    ``heard`` is the SIP code that the caller got, where the call is over.
    """
    parts = [_attempt(session, leg, now_ms) for leg in session.legs]
    tried = ", then ".join(_grouped(parts))
    # A name is written as it is, also where a sentence begins with it.
    tried = f"trunk {tried}" if tried else ""
    end = _end(session, now_ms, heard)
    text = "; ".join(part for part in (_ordered(session, now_ms), tried, end) if part)
    return text[:1].upper() + text[1:] + "."


def seconds(ms: int) -> str:
    """A span in words: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``1 h 5 min``."""
    ms = max(0, ms)
    if ms < 9_950:
        return f"{ms / 1000:.1f} s"
    whole = round(ms / 1000)
    if whole < 120:
        return f"{whole} s"
    if whole < 7_200:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole, 3_600)
    return f"{hours} h {rest // 60} min"


def _grouped(parts: list[str]) -> list[str]:
    return [part for part in parts if part]


def _ordered(session: Session, now_ms: int) -> str:
    """What became of the caller of a call that was ordered."""
    order = session.order
    if order is None:
        return ""
    if order.is_silent:
        return f"test call by {order.by}: nobody calls, and who answers hears a sound"
    if session.disposition is not None and not session.a_up:
        return f"ordered by {order.by}"
    begins = f"phone {order.phone} was called for {order.by}"
    if session.a_answered_ms is not None:
        return f"{begins} and answered after {seconds(session.a_answered_ms - session.started_ms)}"
    if session.phase is not Phase.CALLING:
        return begins
    if session.a_ringing_ms is not None:
        return f"{begins} and has rung for {seconds(now_ms - session.a_ringing_ms)}"
    return f"{begins}, {seconds(now_ms - session.started_ms)} ago"


def _attempt(session: Session, leg: Leg, now_ms: int) -> str:
    trunk = leg.trunk
    if leg.outcome is Outcome.FAILED:
        return f"{trunk} could not be called ({leg.reason})" if leg.reason else f"{trunk} failed"
    if not leg.channel_id:
        why = Skipped(str(leg.outcome).removeprefix("skipped_"))
        return f"{trunk} {_SKIPPED.get(why, f'was skipped ({leg.reason})')}"
    after_ms = (leg.ended_ms or now_ms) - leg.started_ms
    if leg.answered_ms is not None:
        return f"{trunk} answered after {seconds(leg.answered_ms - leg.started_ms)}"
    if leg.ended_ms is None:
        return _under_way(session, leg, now_ms)
    if leg.end_sign is EndSign.MISSED:
        return f"{trunk} was found gone after {seconds(after_ms)}"
    if leg.end_sign is EndSign.SOFT:
        return _given_up(session, leg, after_ms)
    rang = f", having rung {_ring(leg)}" if leg.ringing_ms is not None else ""
    if leg.sip_code:
        return f"{trunk} answered {leg.sip_code} after {seconds(after_ms)}{rang}"
    if leg.cause:
        return f"{trunk} ended it with cause {leg.cause} after {seconds(after_ms)}{rang}"
    return f"{trunk} ended after {seconds(after_ms)}{rang}"


def _under_way(session: Session, leg: Leg, now_ms: int) -> str:
    if session.phase is Phase.ENDING:
        return f"{leg.trunk} is being hung up"
    if leg.ringing_ms is not None:
        return f"{leg.trunk} has rung for {seconds(now_ms - leg.ringing_ms)}"
    if leg.progress_ms is not None:
        return f"{leg.trunk} has sent early media for {seconds(now_ms - leg.progress_ms)}"
    return f"{leg.trunk} has been called for {seconds(now_ms - leg.started_ms)}"


def _given_up(session: Session, leg: Leg, after_ms: int) -> str:
    """We ended the attempt: its time was up, or the call was."""
    if leg.ringing_ms is not None:
        done = f"rang {_ring(leg)}"
    elif leg.progress_ms is not None:
        done = f"sent early media for {seconds((leg.ended_ms or 0) - leg.progress_ms)}"
    else:
        done = f"did not respond for {seconds(after_ms)}"
    timed_out = session.disposition in (Disposition.NO_ANSWER, Disposition.TIMEOUT)
    return f"{leg.trunk} {done}" + (" without an answer" if timed_out and leg.rang else "")


def _ring(leg: Leg) -> str:
    return seconds((leg.ended_ms or 0) - (leg.ringing_ms or 0))


def _end(session: Session, now_ms: int, heard: int | None) -> str:
    if session.disposition is None or session.ended_by is None:
        return _so_far(session, now_ms)
    if session.disposition is Disposition.ANSWERED and session.answered_ms is not None:
        talk = f"they talked {seconds((session.ended_ms or now_ms) - session.answered_ms)}"
        return f"{talk}, then {_who(session)}"
    if session.disposition is Disposition.CANCELLED:
        return _who(session)
    told = f"the caller heard {heard}" if heard else "the caller was already gone"
    if session.order is not None:
        return _end_of_order(session)
    if not session.legs or all(not leg.channel_id for leg in session.legs):
        why = session.reason or str(session.disposition).replace("_", " ")
        return f"the call was refused ({why}) and {told}"
    return told


def _end_of_order(session: Session) -> str:
    """Its caller, who was called, hears no code."""
    why = session.reason or str(session.disposition).replace("_", " ")
    if not session.a_up:
        return why
    if any(leg.channel_id for leg in session.legs):
        return f"the call ended: {why}"
    return f"the call was refused ({why})"


def _so_far(session: Session, now_ms: int) -> str:
    if session.phase is Phase.CALLING:
        return ""
    if session.answered_ms is not None:
        return f"they have talked for {seconds(now_ms - session.answered_ms)}"
    if session.legs:
        return "the caller waits"
    return f"the call has waited {seconds(now_ms - session.started_ms)} for {_WAITS[session.phase]}"


_WAITS = {
    Phase.CALLING: "its caller",
    Phase.ROUTING: "its route",
    Phase.RESERVING: "its places among the limits",
    Phase.SETUP: "its set-up",
    Phase.DIALLING: "an answer",
    Phase.TALKING: "the end of the talk",
    Phase.ENDING: "its end",
    Phase.OVER: "nothing",
}


def _who(session: Session) -> str:
    match session.ended_by:
        case EndedBy.CALLER:
            return "the caller hung up"
        case EndedBy.CALLEE:
            return "the callee hung up"
        case EndedBy.LIMIT | EndedBy.ADMIN if session.reason:
            return f"the call was ended: {session.reason}"
        case EndedBy.SWITCH:
            return "the switch ended the call" + (f": {session.reason}" if session.reason else "")
        case EndedBy.UNKNOWN:
            return "the call was found ended, and nobody saw by whom"
    return f"the call was ended by {session.ended_by}"
