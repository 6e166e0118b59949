"""Calls of the pure world, put where the product keeps them."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import redis

from calls.machine.events import MailboxEvent, encode
from calls.machine.journal import read
from calls.story.retrace import retrace
from calls.story.sip import SipMessage
from cdr.models import CallTrace
from cdr.moments import moment_of
from cdr.packing import pack
from cdr.writer import store
from tests.machine.world import CALL
from tests.story.journals import BEGAN_MS, Noting


def keep(world: Noting, sip: tuple[SipMessage, ...] = (), *, written: bool = True) -> CallTrace:
    """Put a call that is over into the database, as the records worker does."""
    record = world.course.record
    assert record is not None
    if written:
        store([record])
    return CallTrace.objects.create(
        call_id=CALL,
        node="demo",
        started_at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=BEGAN_MS),
        keep_until=date(2100, 1, 1),
        journal=pack(world.journal),
        sip=pack(orjson.dumps([each.to_plain() for each in sip])) if sip else b"",
    )


def keep_real_call() -> str:
    """Keep a call that was made on a real Asterisk, with its SIP; gives its id."""
    kept = json.loads(Path(__file__).with_name("real_call.json").read_text())
    journal = kept["journal"].encode()
    record = retrace(kept["call_id"], read(journal)).record
    assert record is not None
    store([record])
    CallTrace.objects.create(
        call_id=record.call_id,
        node=record.node,
        started_at=moment_of(record.started_ms),
        keep_until=date(2100, 1, 1),
        journal=pack(journal),
        sip=pack(orjson.dumps(kept["sip"])),
    )
    return record.call_id


def put_live(client: "redis.Redis", world: Noting, *waiting: MailboxEvent) -> None:
    """Put a call that is up into Redis, as a worker leaves it, with mail that nobody has read."""
    client.delete(f"ringmaster:journal:{CALL}", f"ringmaster:mail:{CALL}")
    client.rpush(f"ringmaster:journal:{CALL}", *world.journal.split(b"\n"))
    for event in waiting:
        client.rpush(f"ringmaster:mail:{CALL}", encode(event))
