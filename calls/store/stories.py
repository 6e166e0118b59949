"""The story of one call with all that is kept of it, for the page and for programs.

Read from wherever it is (calls/store/journals.py) and the call's record; nothing is written.
"""

from collections.abc import Container
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any

import orjson

from calls.clock import wall_clock_ms
from calls.machine.commands import to_plain
from calls.machine.events import CallRefused, Event, MailboxEvent, RouteChosen
from calls.machine.journal import encode_page, read
from calls.machine.record import call_record
from calls.machine.session import Session, to_json
from calls.store.journals import kept_journal
from calls.story.compare import Difference, of_commands
from calls.story.retrace import Course, Decision, retrace
from calls.story.sentence import sentence
from calls.story.sip import SipMessage
from calls.story.tale import Tale, tell, with_waiting
from calls.text import printable
from cdr.models import Cdr


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that a page shows of one call."""

    course: Course
    waiting: tuple[MailboxEvent, ...]
    sip: tuple[SipMessage, ...]
    live: bool
    row: Cdr | None

    @property
    def session(self) -> Session | None:
        return with_waiting(self.course, self.waiting)

    @property
    def sentence(self) -> str:
        session = self.session
        if session is None:
            return "Nothing of this call can be read."
        heard = call_record(session).sip_code_heard if session.ended_by is not None else None
        return sentence(session, wall_clock_ms(), heard)

    @property
    def otherwise(self) -> tuple[Difference, ...]:
        """How this version would treat a call that is over otherwise than it was treated."""
        return of_commands(self.course) if self.course.is_over else ()

    @property
    def tale(self) -> Tale:
        recorded = ""
        if self.course.is_over:
            recorded = "recorded" if self.row else "the record is on its way to the database"
        return tell(self.course, self.sip, self.waiting, recorded)


def story_of(call: str) -> Story | None:
    """The call's story; None when nothing is kept of it.

    Raises redis.RedisError when Redis fails and the database has nothing, and CallError when what
    is kept cannot be read.
    """
    kept = kept_journal(call)
    if kept is None:
        return None
    messages = tuple(
        message
        for plain in (orjson.loads(kept.sip) if kept.sip else ())
        if (message := SipMessage.from_plain(plain)) is not None
    )
    row = Cdr.objects.filter(call_id=call).first()
    return Story(retrace(call, read(kept.journal)), kept.waiting, messages, kept.live, row)


def without_reasons(story: Story) -> Story:
    """The story without the steps of its decision, which name rows of the configuration that did
    not come to anything: for whoever may not see those."""
    course = story.course
    decisions = tuple(replace(each, event=_bare(each.event)) for each in course.decisions)
    return replace(story, course=replace(course, decisions=decisions))


def _bare(event: Event) -> Event:
    match event:
        case RouteChosen():
            return replace(event, plan=replace(event.plan, steps=()), rules=None)
        case CallRefused():
            return replace(event, refusal=replace(event.refusal, steps=()))
    return event


def why_none(call: str) -> str:
    """Why there is no story of that call."""
    return (
        f"Nothing is kept of call {printable(call)[:200]}. Journals are kept for some days "
        "(TRACE_DAYS, TRACE_FAILED_DAYS); the call's record stays."
    )


def story_document(call: str, story: Story, reasons: bool = True) -> dict[str, Any]:
    """Everything of the story, for programs; without ``reasons`` neither steps nor limits."""
    story = story if reasons else without_reasons(story)
    tale = story.tale
    session = plain_session(story.session)
    if session is not None and not reasons:
        session["rules"] = None
    document = {
        "call_id": call,
        "live": story.live,
        "sentence": story.sentence,
        "lines": tale.lines,
        "items": [asdict(item) for item in tale.items],
        "decisions": [_plain_decision(each) for each in story.course.decisions],
        "session": session,
        "unread": [each.text for each in story.course.unread],
        "sip": [message.to_plain() for message in story.sip],
    }
    if reasons:
        return document
    asked = chain.from_iterable(each.asks for each in story.course.decisions)
    digests = {getattr(each, "digest", "") for each in asked} - {""}
    return dict(_without(document, digests))


def _without(plain: Any, texts: Container[str]) -> Any:
    """The same with '' for each of these texts: what is left in Asterisk of a call says its limits
    too."""
    if isinstance(plain, dict):
        return {key: _without(each, texts) for key, each in plain.items()}
    if isinstance(plain, list | tuple):
        return [_without(each, texts) for each in plain]
    return "" if isinstance(plain, str) and plain in texts else plain


def plain_session(session: Session | None) -> dict[str, Any] | None:
    """The session as it is saved, as an object."""
    if session is None:
        return None
    plain: dict[str, Any] = orjson.loads(to_json(session))
    return plain


def _plain_decision(decision: Decision) -> dict[str, Any]:
    page = encode_page(decision.turn, 0, [(decision.event, decision.asked_ms)])
    return {
        "number": decision.number,
        "turn": decision.turn,
        "turn_began_ms": decision.began_ms,
        "at_ms": decision.at_ms,
        "signal": decision.signal,
        "rule": decision.rule,
        "phase": decision.after.phase,
        "event": orjson.loads(page)[3][0],
        "asks": [to_plain(each) for each in decision.asks],
        "takes_back": [to_plain(each) for each in decision.takes_back],
    }
