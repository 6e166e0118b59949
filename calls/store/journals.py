"""The journal of one call wherever it is: with the live call, on its way to the database, or there.

Read from the keys of calls/store/mailbox.py and cdr/trace.py, which document them, and from
`CallTrace`; nothing is written.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from calls.errors import CallError
from calls.machine.events import MailboxEvent, decode
from calls.machine.journal import read
from calls.store.impatient import impatient_redis
from calls.story.retrace import retrace
from calls.story.tale import with_waiting
from cdr.errors import CdrError
from cdr.models import CallTrace
from cdr.packing import unpack
from cdr.signalling import messages_of
from cdr.trace import STREAM, TraceHead

LOOKED_THROUGH = 2_000
"""Traces on their way that are looked through for one call, the newest first."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A call's journal and what lies beside it: events that no worker has attended to yet, and the
    SIP messages of its legs as JSON (b"" = none)."""

    journal: bytes
    waiting: tuple[MailboxEvent, ...] = ()
    sip: bytes = b""
    live: bool = False


def kept_journal(call: str) -> Kept | None:
    """What is kept of that call; None when nothing is.

    Raises redis.RedisError when Redis fails and the database has nothing, and CallError when what
    is kept cannot be read.
    """
    # On its way to the database it may be in neither, if the database is asked only first.
    return _in_database(call) or _in_redis(call) or _in_database(call)


def _in_database(call: str) -> Kept | None:
    trace = CallTrace.objects.filter(call_id=call).first()
    if trace is None:
        return None
    try:
        sip = unpack(bytes(trace.sip)) if trace.sip else b""
        return Kept(unpack(bytes(trace.journal)), sip=sip)
    except ValueError as error:
        raise CallError(f"The trace of call {call} cannot be read: {error}") from error


def _in_redis(call: str) -> Kept | None:
    with impatient_redis(settings.REDIS_URL) as client:
        pipeline = client.pipeline()
        pipeline.hexists(f"ringmaster:call:{call}", "over")
        pipeline.lrange(f"ringmaster:journal:{call}", 0, -1)
        pipeline.lrange(f"ringmaster:mail:{call}", 0, -1)
        over, pages, mail = pipeline.execute()
        if over:
            return _on_its_way(client, call)
        if not pages and not mail:
            return None
        journal, waiting = b"\n".join(pages), tuple(decode(event) for event in mail)
        sip = messages_of(client, _sip_call_ids(call, journal, waiting))
    return Kept(journal, waiting, sip, live=True)


def _sip_call_ids(call: str, journal: bytes, waiting: tuple[MailboxEvent, ...]) -> list[str]:
    session = with_waiting(retrace(call, read(journal)), waiting)
    if session is None:
        return []
    legs = [leg.sip_call_id for leg in session.legs]
    return [each for each in (session.a_sip_call_id, *legs) if each]


def _on_its_way(client: Any, call: str) -> Kept | None:
    for _, values in client.xrevrange(STREAM, count=LOOKED_THROUGH):
        try:
            head = TraceHead.from_json(values.get(b"head", b""))
        except CdrError:
            continue
        if head.call_id == call:
            sip = messages_of(client, head.sip_call_ids)
            return Kept(values.get(b"journal", b""), sip=sip)
    return None
