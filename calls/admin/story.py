"""The story of a call: a sentence, a ladder, and the debugger. It changes nothing."""

from typing import Any
from urllib.parse import urlencode

import orjson
import redis
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from calls.admin.explanation import MAY_ASK
from calls.admin.webhooks import told_of
from calls.errors import CallError
from calls.machine.record import call_record
from calls.machine.session import Session
from calls.store.overview import look
from calls.store.stories import (
    Story,
    plain_session,
    story_document,
    story_of,
    why_none,
    without_reasons,
)
from calls.story.fork import Fork, choices, fork
from calls.story.ladder import MOST_ITEMS, ladder
from calls.story.pcap import pcap
from calls.story.retrace import Course, Decision
from calls.story.sentence import sentence
from calls.story.words import command_words, event_words
from calls.text import printable
from cdr.links import story_url
from cdr.models import Cdr
from cdr.moments import moment_of
from cdr.pages import asks_for_fragment, fragment, page, permitted
from cdr.search import Kind, parse
from cdr.sip import calls_of_sip

LOOK = "cdr.view_cdr"
ZOOMS = (60, 80, 100, 130, 170)
REFRESH_S = 0.5
AWAY = (
    "The story cannot be told: Redis (REDIS_URL) does not answer, and the call is not in the "
    "database. If it is up it goes on; look again when Redis is back."
)


@require_safe
@permitted(LOOK)
def find_page(request: HttpRequest) -> HttpResponse:
    """Find a call by its id or by the SIP Call-ID of one of its legs."""
    asked = request.GET.get("q", "").strip()
    found: list[Cdr] = []
    if asked:
        kind = parse(asked).kind
        if kind is Kind.CALL_ID:
            return redirect(story_url(asked))
        if kind is Kind.SIP_CALL_ID:
            found = list(Cdr.objects.filter(pk__in=calls_of_sip(asked)).order_by("-started_at"))
            if len(found) == 1:
                return redirect(story_url(found[0].call_id))
            up = _up_with(asked) if not found else ""
            if up:
                return redirect(story_url(up))
    rows = [{"row": row, "story": story_url(row.call_id)} for row in found]
    return page(request, "calls/story_find.html", "Story of a call", {"asked": asked, "rows": rows})


def _up_with(sip_call_id: str) -> str:
    """The call that is up and has a leg with this SIP Call-ID, or ''."""
    text = orjson.dumps(sip_call_id)
    try:
        live = look()
    except redis.RedisError:
        return ""
    found = (
        kept for kept in live if any(text in each for each in (kept.session or b"", *kept.mail))
    )
    return next((kept.call for kept in found), "")


@require_safe
@permitted(LOOK)
def story_page(request: HttpRequest, call: str) -> HttpResponse:
    """The story, the part of it that refreshes itself, and the debugger."""
    try:
        story = story_of(call)
    except redis.RedisError:
        if asks_for_fragment(request):
            return HttpResponse(AWAY, status=503, content_type="text/plain")
        return page(request, "calls/story_none.html", "Story of a call", {"why": AWAY}, status=503)
    except CallError as error:
        return page(request, "calls/story_none.html", "Story of a call", {"why": str(error)})
    if story is None:
        context = {
            "why": why_none(call),
            "record": Cdr.objects.filter(call_id=call).first(),
            "told": told_of(request, call),
        }
        return page(request, "calls/story_none.html", "Story of a call", context, status=404)
    reasons = _sees_reasons(request)
    story = story if reasons else without_reasons(story)
    context = _told(request, story)
    if asks_for_fragment(request):
        return fragment(request, "calls/story_told.html", context)
    context |= _debugger(request, story.course, reasons)
    context["told"] = told_of(request, call)
    return page(request, "calls/story.html", "Story of a call", context)


@require_safe
@permitted(LOOK)
def story_json(request: HttpRequest, call: str) -> HttpResponse:
    """Everything of the story, for programs."""
    story = _story(call)
    if isinstance(story, HttpResponse):
        return story
    document = story_document(call, story, _sees_reasons(request))
    return JsonResponse(document, json_dumps_params={"indent": 1})


@require_safe
@permitted(LOOK)
def story_sip(request: HttpRequest, call: str) -> HttpResponse:
    """The text of the SIP messages, masked."""
    story = _story(call)
    if isinstance(story, HttpResponse):
        return story
    parts = [
        f"{moment_of(each.at_ms).isoformat(timespec='milliseconds')}  {each.source} -> "
        f"{each.target}\n{each.text.rstrip()}\n"
        for each in story.sip
    ]
    text = "\n".join(parts) or "No SIP was traced of this call.\n"
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@require_safe
@permitted(LOOK)
def story_pcap(request: HttpRequest, call: str) -> HttpResponse:
    """The SIP messages as a capture file, masked."""
    story = _story(call)
    if isinstance(story, HttpResponse):
        return story
    data = pcap(story.sip)
    answer = HttpResponse(data, content_type="application/vnd.tcpdump.pcap")
    answer["Content-Disposition"] = 'attachment; filename="call.pcap"'
    return answer


def _sees_reasons(request: HttpRequest) -> bool:
    """Whether the user may see all the rows that the steps of a decision and its limits name."""
    return request.user.has_perms(MAY_ASK)


def _story(call: str) -> Story | HttpResponse:
    """The story, or the answer that says that Redis is away. Raises Http404."""
    try:
        story = story_of(call)
    except redis.RedisError:
        return HttpResponse(AWAY, status=503, content_type="text/plain")
    except CallError as error:
        raise Http404(str(error)) from error
    if story is None:
        raise Http404(why_none(call))
    return story


# --- What is shown --------------------------------------------------------------------------------


def _told(request: HttpRequest, story: Story) -> dict[str, Any]:
    tale, session = story.tale, story.session
    zoom = _number(request.GET.get("zoom"), 100)
    zoom = zoom if zoom in ZOOMS else 100
    chosen = _number(request.GET.get("step"), 0)
    # Made of escaped text by calls/story/ladder.py alone.
    drawn = mark_safe(ladder(tale, zoom, chosen))  # noqa: S308
    address = story_url(story.course.call_id)
    return {
        "call_id": story.course.call_id,
        "sentence": printable(story.sentence),
        "live": story.live,
        "session": session,
        "started": moment_of(session.started_ms) if session else None,
        "row": story.row,
        "ladder": drawn,
        "cut": len(tale.items) > MOST_ITEMS,
        "zooms": [(each, each == zoom, _query(request, zoom=each)) for each in ZOOMS],
        "address": address,
        "refresh": f"{address}{_query(request)}",
        "every": REFRESH_S,
        "json": f"{address.removesuffix('/')}.json",
        "pcap": f"{address.removesuffix('/')}.pcap",
        "sip_text": f"{address.removesuffix('/')}.sip.txt" if story.sip else "",
        "unread": story.course.unread,
        # How many: what differs names limits, too, which not everybody may see.
        "otherwise": len(story.otherwise),
    }


def _query(request: HttpRequest, **changes: Any) -> str:
    query = {key: value for key, value in request.GET.items() if key in ("zoom", "step")}
    return "?" + urlencode(query | changes)


def _debugger(request: HttpRequest, course: Course, reasons: bool) -> dict[str, Any]:
    number = _number(request.GET.get("step"), 0)
    at = next((each for each in course.decisions if each.number == number), None)
    context: dict[str, Any] = {
        "decisions": [_row(each, each.number == number) for each in course.decisions],
        "step": number if at else 0,
    }
    if at is None:
        return context
    what = request.GET.getlist("what")[:10]
    forked = fork(course, number, what) if what else None
    return context | {
        "at": _row(at, True),
        "before": number - 1 if number > 1 else 0,
        "after": number + 1 if number < len(course.decisions) else 0,
        "state": _state(at.after, reasons),
        "choices": choices(at.before) if at.before else (),
        "what": what[0] if what else "",
        "forked": _forked(course, forked, number, what) if forked else None,
    }


def _forked(course: Course, forked: Fork, number: int, what: list[str]) -> dict[str, Any]:
    session = forked.session
    heard = call_record(session).sip_code_heard if session.ended_by is not None else None
    now_ms = forked.decisions[-1].at_ms if forked.decisions else session.started_ms
    return {
        "sentence": printable(sentence(session, now_ms, heard)),
        "rows": [_row(each, False) for each in forked.decisions],
        "over": forked.is_over,
        "choices": [
            (choice.words, "?" + urlencode({"step": number, "what": [*what, choice.key]}, True))
            for choice in forked.choices
        ],
        "nothing": not forked.decisions,
    }


def _row(decision: Decision, chosen: bool) -> dict[str, Any]:
    return {
        "number": decision.number,
        "at": moment_of(decision.at_ms),
        "seconds": f"+{(decision.at_ms - decision.after.started_ms) / 1000:.3f}",
        "turn": decision.turn,
        "signal": decision.signal,
        "words": printable(event_words(decision.event)),
        "rule": decision.rule,
        "phase": decision.after.phase,
        "moved": decision.before is None or decision.before.phase is not decision.after.phase,
        "asks": [printable(command_words(each)) for each in decision.asks],
        "takes_back": [printable(command_words(each)) for each in decision.takes_back],
        "chosen": chosen,
    }


def _state(session: Session, reasons: bool) -> list[tuple[str, str]]:
    """The session as the machine had it, field by field; what is empty is left out."""
    plain = plain_session(session) or {}
    plain["rules"] = plain["rules"] if reasons else None
    plain = {name: plain[name] for name in ("phase", "pending", "rules", "legs")} | plain
    plain["pending"] = [command_words(each) for each in session.pending] or "nothing"
    shown = []
    for name, value in plain.items():
        if value in ("", None, False, [], 0):
            continue
        lines = value if isinstance(value, list) else [value]
        text = "\n".join(_line(each) for each in lines)
        shown.append((_NAMES.get(name, name.replace("_", " ")), _printable_lines(text)))
    return shown


_NAMES = {"rules": "limits held", "legs": "attempts"}


def _line(value: Any) -> str:
    """A value on one line; of an object only what is not empty."""
    if isinstance(value, dict):
        told = (f"{key} {each}" for key, each in value.items() if each not in ("", None, False))
        return ", ".join(told)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _printable_lines(text: str) -> str:
    """As `printable`, line by line."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _number(text: str | None, otherwise: int) -> int:
    try:
        return int(text or "")
    except ValueError:
        return otherwise
