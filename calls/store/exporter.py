"""What Prometheus is told: what every process counts, and how the switch does right now.

Whoever exports keeps no count of its own, so any number may: one beside each Prometheus, or each
web process. Read from Redis (calls/store/handover.py, calls/store/pulse.py) and, for the names of
trunks, now and then from the database; either may be away, which is then what is told.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from django.db import Error, close_old_connections, connection
from django.db.models import Count, Min, OuterRef, Q, Subquery
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from calls.clock import wall_clock_ms
from calls.limits.health import states_of
from calls.limits.rules import Health
from calls.metrics import MOST_NAMES
from calls.models import Trunk
from calls.models.webhooks import WebhookDelivery, WebhookEndpoint
from calls.store import rejected
from calls.store.handover import handed_over
from calls.store.impatient import impatient_redis
from calls.store.outbox import OUTBOX
from calls.store.pulse import Pulse, clock_ms, clock_offset_s, pulse
from calls.store.questions import REFUSED, STATES, WOULD
from calls.store.usage import total_of
from cdr import patience, stream, trace
from cdr.metrics import NAMESPACE, Declared
from cdr.moments import ms_of

DATABASE_S = 1.0
"""How long the database may take to answer before it is told as away."""
NAMES_S = 30.0
"""How long the names of trunks, and how webhooks do, are remembered."""
KINDS = ("bridge", "calls", "records")


def _gauge(name: str, text: str, *labels: str) -> Declared:
    return Declared(f"{NAMESPACE}_{name}", "gauge", text, labels)


GAUGES = {
    each.name.removeprefix(f"{NAMESPACE}_"): each
    for each in (
        _gauge("redis_up", "Whether Redis (REDIS_URL) answers."),
        _gauge("limits_redis_up", "Whether the Redis of the limits (LIMITS_REDIS_URL) answers."),
        _gauge(
            "redis_clock_offset_seconds",
            "How far the clock of the Redis that a setting names is ahead of the machine's that "
            "answers Prometheus.",
            "setting",
        ),
        _gauge("database_up", "Whether the database answers within a second."),
        _gauge("calls_up", "Calls that are live."),
        _gauge(
            "mail_overdue_seconds",
            "For how long the call that waits longest should have been attended to: the age of the "
            "oldest unattended mail. 0: none waits.",
        ),
        _gauge("cdrs_waiting", "Call records that wait for the database."),
        _gauge("cdr_lag_seconds", "Age of the oldest call record that waits for the database."),
        _gauge(
            "cdrs_set_aside",
            "Call records that could not be written and wait for somebody to look at them.",
        ),
        _gauge(
            "events_set_aside",
            "Events and sessions that could not be understood and wait for somebody to look at "
            "them.",
        ),
        _gauge(
            "ledger_balances",
            "Whether the last check of the ledger found that every call of today and yesterday "
            "(UTC) has its one record. Not told where nobody has checked for an hour.",
        ),
        _gauge("traces_waiting", "Journals of calls that wait for the database."),
        _gauge("beginnings_waiting", "Beginnings of calls that the ledger has not taken in yet."),
        _gauge(
            "webhook_outbox_lag_seconds",
            "Age of the oldest event that waits for run_webhooks to take it; 0: none waits.",
        ),
        _gauge(
            "webhooks_disabled",
            "Webhooks that were disabled because their receiver failed for too long, or is gone.",
        ),
        _gauge(
            "webhook_failing_seconds",
            "For how long the enabled webhook that fails longest has taken nothing; 0: none fails.",
        ),
        _gauge(
            "webhook_overdue_seconds",
            "For how long the delivery to an enabled webhook that is due longest should have been "
            "attempted; 0: none is due.",
        ),
        _gauge("processes", "Processes that are alive.", "kind"),
        _gauge(
            "process_start_time_seconds",
            "When a process that is alive was started, in seconds since the epoch.",
            "kind",
            "process_id",
        ),
        _gauge("node_listeners", "ARI bridges that hear a node: 1 when all is well.", "node"),
        _gauge("node_standbys", "ARI bridges that stand by for a node.", "node"),
        _gauge(
            "trunk_state", "1 for the state that a trunk's attempts tell of it.", "trunk", "state"
        ),
        _gauge(
            "limit_refused",
            "Calls that a limit has refused, and of a trunk's limit its turns. Kept in Redis: it "
            "may go back with it, or be set back by hand.",
            "limit",
        ),
        _gauge(
            "limit_would_refuse",
            "The same for limits that are only observed: what they would have refused.",
            "limit",
        ),
    )
}
"""What is read for each answer. docs/metrics.md is made of it."""

logger = logging.getLogger(__name__)


class Exporter(Collector):
    """Everything there is to tell, read anew each time."""

    def __init__(self) -> None:
        self._trunks: tuple[str, ...] = ()
        self._webhooks: _Webhooks | None = None
        self._asked_s = float("-inf")
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the registry would otherwise read it all to know the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """How the switch does, then what the processes count."""
        told = _Told()
        counted: list[Metric] = []
        told.gauge("database_up", float(self._read_names()))
        if self._webhooks is not None:
            told.gauge("webhooks_disabled", self._webhooks.disabled)
            told.gauge("webhook_failing_seconds", _seconds_since(self._webhooks.failing_since))
            told.gauge("webhook_overdue_seconds", self._webhooks.overdue_s)
        try:
            felt = pulse()
            with impatient_redis(settings.REDIS_URL) as client:
                counted = handed_over(client)
                _tell_waiting(told, client)
                told.gauge("redis_clock_offset_seconds", clock_offset_s(client), "REDIS_URL")
            _tell_pulse(told, felt)
            told.gauge("redis_up", 1)
        except redis.RedisError:
            told.gauge("redis_up", 0)
        try:
            self._tell_limits(told)
            told.gauge("limits_redis_up", 1)
        except redis.RedisError:
            told.gauge("limits_redis_up", 0)
        yield from told.families.values()
        yield from counted

    def _read_names(self) -> bool:
        """Whether the database answers; what is read of it seldom is read with the question."""
        with self._lock:
            try:
                with patience.within(DATABASE_S):
                    # In somebody's transaction the connection is theirs, and no old one.
                    if not connection.in_atomic_block:
                        close_old_connections()
                    if time.monotonic() - self._asked_s < NAMES_S:
                        with connection.cursor() as cursor:
                            cursor.execute("SELECT 1")
                    else:
                        trunks = Trunk.objects.filter(enabled=True).order_by("pk")
                        self._trunks = tuple(trunks.values_list("name", flat=True)[:MOST_NAMES])
                        self._webhooks = _look_at_webhooks()
                        self._asked_s = time.monotonic()
            except Error as error:
                logger.debug("The database does not answer the exporter: %s", error)
                return False
            return True

    def _tell_limits(self, told: "_Told") -> None:
        with (
            impatient_redis(settings.LIMITS_REDIS_URL) as client,
            client.pipeline(transaction=False) as pipeline,
        ):
            for key in (STATES, REFUSED, WOULD):
                pipeline.hgetall(key)
            replies: list[Any] = pipeline.execute()
            if settings.LIMITS_REDIS_URL != settings.REDIS_URL:
                offset_s = clock_offset_s(client)
                told.gauge("redis_clock_offset_seconds", offset_s, "LIMITS_REDIS_URL")
        states, refused, would = replies
        unwell = states_of([part for pair in states.items() for part in pair])
        # One that is unwell is told even where the database has not named it.
        for trunk in dict.fromkeys([*self._trunks, *unwell]):
            state = unwell[trunk].health if trunk in unwell else Health.UP
            for each in (Health.UP, Health.DEGRADED, Health.DOWN):
                told.gauge("trunk_state", float(each is state), trunk, each.value)
        for name, totals in (("limit_refused", refused), ("limit_would_refuse", would)):
            for limit, count in _most(totals):
                told.gauge(name, count, limit)


@dataclass(frozen=True, slots=True)
class _Webhooks:
    """What the database says of them. ``overdue_s`` is as old as the look: what is due is attempted
    within a second, and would else seem to wait until the next look."""

    disabled: int
    failing_since: datetime | None
    overdue_s: float


def _look_at_webhooks() -> _Webhooks:
    waiting = WebhookDelivery.objects.filter(
        endpoint=OuterRef("pk"), state=WebhookDelivery.State.WAITING
    )
    next_due = Subquery(waiting.order_by("due_at").values("due_at")[:1])
    enabled = Q(enabled=True)
    found = WebhookEndpoint.objects.annotate(next_due=next_due).aggregate(
        disabled=Count("pk", filter=~enabled & ~Q(disabled_because="")),
        failing_since=Min("failing_since", filter=enabled),
        due_since=Min("next_due", filter=enabled),
    )
    return _Webhooks(found["disabled"], found["failing_since"], _seconds_since(found["due_since"]))


def _seconds_since(moment: datetime | None) -> float:
    """0 for a moment that is not there or has not come."""
    return 0.0 if moment is None else max(0, wall_clock_ms() - ms_of(moment)) / 1000


class _Told:
    """The gauges of one answer."""

    def __init__(self) -> None:
        self.families: dict[str, GaugeMetricFamily] = {}

    def gauge(self, name: str, value: float, *labels: str) -> None:
        if name not in self.families:
            told = GAUGES[name]
            self.families[name] = GaugeMetricFamily(told.name, told.text, labels=told.labels)
        self.families[name].add_metric(labels, value)


def _tell_pulse(told: _Told, felt: Pulse) -> None:
    told.gauge("calls_up", felt.up)
    told.gauge("mail_overdue_seconds", felt.overdue_ms / 1000)
    told.gauge("cdrs_waiting", felt.records)
    told.gauge("cdr_lag_seconds", felt.lag_ms / 1000)
    told.gauge("cdrs_set_aside", felt.rejected)
    if felt.light is not None and not felt.light.is_stale(wall_clock_ms()):
        told.gauge("ledger_balances", float(felt.light.green))
    alive = Counter(process.kind for process in felt.processes)
    for kind in dict.fromkeys((*KINDS, *alive)):
        told.gauge("processes", alive[kind], kind)
    for each in felt.processes:
        name = f"{each.host}:{each.pid}"
        told.gauge("process_start_time_seconds", each.started_ms / 1000, each.kind, name)
    notes = ", ".join(each.note for each in felt.processes if each.kind == "bridge").split(", ")
    for node in settings.ARI_NODES:
        told.gauge("node_listeners", notes.count(f"{node} listens"), node)
        told.gauge("node_standbys", notes.count(f"{node} stands by"), node)


def _tell_waiting(told: _Told, client: "redis.Redis") -> None:
    streams = {
        "events_set_aside": rejected.STREAM,
        "traces_waiting": trace.STREAM,
        "beginnings_waiting": stream.BEGUN_STREAM,
    }
    with client.pipeline(transaction=False) as pipeline:
        for key in streams.values():
            pipeline.xlen(key)
        pipeline.xrange(OUTBOX, count=1)
        pipeline.time()
        *counts, outbox, now = pipeline.execute()
    for name, count in zip(streams, counts, strict=True):
        told.gauge(name, count)
    lag_ms = clock_ms(now) - int(outbox[0][0].partition(b"-")[0]) if outbox else 0
    told.gauge("webhook_outbox_lag_seconds", max(0, lag_ms) / 1000)


def _most(totals: Mapping[bytes, bytes]) -> list[tuple[str, int]]:
    """The limits with the highest totals, as many as have series of their own."""
    counts = [(limit.decode(errors="replace"), total_of(count)) for limit, count in totals.items()]
    return sorted(counts, key=lambda each: -each[1])[:MOST_NAMES]


def registry() -> CollectorRegistry:
    """A registry of one exporter, for the library's ways to answer Prometheus."""
    made = CollectorRegistry()
    made.register(Exporter())
    return made


def text(exporting: CollectorRegistry) -> bytes:
    """What Prometheus reads."""
    return generate_latest(exporting)
