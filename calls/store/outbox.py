"""What happened and is to be told to webhooks, until it is rows of `WebhookDelivery`.

Keys; this module and the scripts of calls, limits and trunks write them:

``ringmaster:webhooks:wanted`` (in REDIS_URL)
    The events that some endpoint wants, parted by spaces. ``run_webhooks`` writes it, each process
    that has something to tell reads it once a second. Without it nothing is put into the outbox.
``ringmaster:webhooks:outbox`` (in REDIS_URL, and in LIMITS_REDIS_URL for trunks and limits)
    Stream. One entry an event, ``<event> <JSON>``, written by the very script that saves what
    happened: ``key`` what it happened to, ``at_ms`` when, ``data`` what there is to say.
    ``run_webhooks`` takes entries off it once they are rows. Where it does not run for long, the
    oldest of more than `MOST` are dropped: calls need the memory more.

The end of a call goes another way: its record is in the CDR stream already, and becomes deliveries
in the transaction that writes its row. So does an alarm.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import redis
from django.utils import timezone
from redis.asyncio import Redis

from calls.models import Alarm
from calls.models.webhooks import WebhookDelivery, WebhookEndpoint, enabled_endpoints
from cdr.document import document, without_carriers
from cdr.moments import moment_of, ms_of
from cdr.record import CallRecord

WANTED = "ringmaster:webhooks:wanted"
OUTBOX = "ringmaster:webhooks:outbox"
MOST = 200_000
"""Entries of some 400 bytes that may wait at most, about."""

logger = logging.getLogger(__name__)


class Wanted:
    """The events that some endpoint wants, as this process knows it."""

    def __init__(self) -> None:
        self.events: frozenset[str] = frozenset()

    async def look(self, client: Redis) -> None:
        """Ask again. Raises redis.RedisError."""
        text: Any = await client.get(WANTED)
        self.hear(text)

    def hear(self, text: bytes | None) -> None:
        """This is what Redis has at `WANTED` now."""
        if text is not None:
            # A Redis that was emptied says nothing; what was wanted still is.
            self.events = frozenset(text.decode().split())


wanted = Wanted()
"""Of this process."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something that happened. ``key`` makes its id, the same however often it is told."""

    event: str
    key: str
    at: datetime
    data: dict[str, Any]
    for_accounts: dict[str, Any] = field(default_factory=dict)
    """What an account's own endpoints are told instead; empty: the same."""
    began: datetime | None = None
    """When the call began that it is about: whoever had its account's code then is told."""

    @property
    def message_id(self) -> str:
        """Its id for receivers: of this event of this call, and of no other."""
        digest = hashlib.sha256(f"{self.event}\0{self.key}".encode()).hexdigest()
        return f"msg_{digest[:32]}"

    def body(self, of_account: bool) -> str:
        """The text that is signed and sent."""
        data = self.for_accounts if of_account and self.for_accounts else self.data
        plain = {"type": self.event, "timestamp": self.at, "data": data}
        return orjson.dumps(plain, option=orjson.OPT_UTC_Z).decode()


def fan_out(messages: Iterable[Message], endpoints: Iterable[WebhookEndpoint]) -> None:
    """Make deliveries of messages; those that are there already stay. Raises django.db.Error."""
    now = timezone.now()
    endpoints = list(endpoints)
    rows = [
        WebhookDelivery(
            endpoint=endpoint,
            message_id=message.message_id,
            event=message.event,
            call_id=str(message.data.get("call_id", "")).replace("\0", "")[:200],
            body=message.body(endpoint.account_id is not None),
            due_at=now,
            made_at=now,
        )
        for message in messages
        for endpoint in endpoints
        if endpoint.wants(message.event, str(message.data.get("account", "")), message.began)
    ]
    if rows:
        WebhookDelivery.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


def ended(records: Sequence[CallRecord]) -> None:
    """Tell of calls that are over, in the transaction that writes their rows."""
    wanting = [each for each in enabled_endpoints() if "call.ended" in each.events.split()]
    if wanting:
        fan_out((_ended(record) for record in records), wanting)


def alarmed(alarm: Alarm, sentence: str) -> None:
    """Tell of an alarm, in the transaction that writes its row."""
    data = {
        "account": alarm.account,
        "kind": alarm.kind,
        "noticed_at": alarm.at,
        "within_the_hour": alarm.seen,
        "usual_at_most": alarm.usual,
        "sentence": sentence,
    }
    key = f"{alarm.account} {alarm.kind} {ms_of(alarm.at)}"
    fan_out([Message("fraud.alarm", key, alarm.at, data)], enabled_endpoints())


def _ended(record: CallRecord) -> Message:
    told = document(record)
    at, began = moment_of(record.ended_ms), moment_of(record.started_ms)
    return Message("call.ended", record.call_id, at, told, without_carriers(told), began)


def waiting(client: "redis.Redis", most: int) -> list[tuple[bytes, Message | None]]:
    """The oldest entries of an outbox, each with its id there; None for what is no message.

    Raises redis.RedisError.
    """
    entries: Any = client.xrange(OUTBOX, count=most)
    return [(entry_id, _read(values)) for entry_id, values in entries]


def _read(values: dict[bytes, bytes]) -> Message | None:
    try:
        ((event, text),) = values.items()
        plain = orjson.loads(text)
        data = dict(plain["data"])
        told = {name: each for name, each in data.items() if name != "trunk"}
        started = data.get("started_at")
        began = None if started is None else datetime.fromisoformat(str(started))
        at = moment_of(int(plain["at_ms"]))
        return Message(event.decode(), str(plain["key"]), at, data, told, began)
    except (ValueError, KeyError, TypeError, OverflowError):
        logger.error("An entry of %s cannot be read and is dropped: %.300r", OUTBOX, values)
        return None
