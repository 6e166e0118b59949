"""Looking at what stands around Asterisk: Redis, the database, processes, trunks."""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from time import time
from typing import Any

import redis
from amqp import Message
from amqp.exceptions import AccessRefused, AMQPError, NotFound, PreconditionFailed
from celery import current_app
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection, Queue

from ari_bridge.doctor.facts import Broker, Database, RedisServer, Trunk
from calls.models import Trunk as TrunkModel
from calls.models import WebhookEndpoint
from calls.policy import policy
from calls.routing.endpoints import why_not
from calls.store.heartbeats import Process, processes
from calls.store.impatient import impatient_redis
from calls.store.pulse import clock_ms, clock_offset_s
from cdr.errors import first_line
from cdr.stream import STREAM

BROKER_TIMEOUT_S = 3
_RIGHT = re.compile(r"^([\w.]+): .*?((?:configure |write |read )?access to \w+ '[^']*')")
"""In the sentence with which RabbitMQ refuses: ``Basic.get: (403) ACCESS_REFUSED - read access to
queue 'calls' in vhost …``; before 3.11 it does not say which access."""


def redis_servers() -> tuple[RedisServer, ...]:
    """Each Redis that the settings name, once."""
    urls: dict[str, list[str]] = defaultdict(list)
    for name in ("REDIS_URL", "LIMITS_REDIS_URL", "CELERY_BROKER_URL"):
        url = getattr(settings, name)
        if url.startswith("redis"):
            urls[url].append(name)
    return tuple(_redis_server(url, tuple(names)) for url, names in urls.items())


def _redis_server(url: str, names: tuple[str, ...]) -> RedisServer:
    try:
        with impatient_redis(url) as client:
            info: Any = client.info("everything")
            clock_off_s = clock_offset_s(client)
    except redis.RedisError as error:
        return RedisServer(names, error=first_line(error))
    return RedisServer(
        names,
        version=str(info.get("redis_version", "")),
        role=str(info.get("role", "master")),
        policy=str(info.get("maxmemory_policy", "noeviction")),
        appends=bool(info.get("aof_enabled", 1)),
        writes=info.get("aof_last_write_status", "ok") == "ok",
        clock_off_s=clock_off_s,
        keeps_calls=names != ("CELERY_BROKER_URL",),
    )


def broker() -> Broker | None:
    """RabbitMQ, asked for all that a worker asks of it; None where a Redis carries the nudges.

    The queue is declared as every process of ours does it, so that it is there afterwards.
    """
    url = settings.CELERY_BROKER_URL
    if url.startswith("redis"):
        return None
    queue = current_app.amqp.queues[settings.CELERY_TASK_DEFAULT_QUEUE]
    connection = Connection(
        url,
        ssl=settings.CELERY_BROKER_USE_SSL or False,
        connect_timeout=BROKER_TIMEOUT_S,
        transport_options={
            "read_timeout": BROKER_TIMEOUT_S,
            "write_timeout": BROKER_TIMEOUT_S,
            "confirm_publish": True,
        },
    )
    host = str(connection.hostname)
    found = Broker(
        host,
        user=str(connection.userid),
        vhost=str(connection.virtual_host or "/"),
        queue=queue.name,
        tls=bool(connection.ssl),
        local=_is_local(host),
    )
    with connection:
        try:
            told: Any = connection.connect()
            wrong = [_tried(connection, each) for each in _uses(queue)]
        except (OSError, AMQPError) as error:
            return replace(found, error=first_line(error))
    refused = [str(each) for each in wrong if isinstance(each, AccessRefused)]
    return replace(
        found,
        version=str(told.server_properties.get("version", "")),
        forbidden=tuple(_RIGHT.sub(r"\2 (\1)", each.partition(" in vhost")[0]) for each in refused),
        other_kind=any(isinstance(each, PreconditionFailed) for each in wrong),
    )


def _uses(queue: Queue) -> tuple[Callable[[Any], Any], ...]:
    """What workers and bridges do with a channel. The message is for a queue that nobody has, and a
    nudge that is taken here goes back to its place."""
    nobody = "ringmaster.doctor.nobody"

    def take(channel: Any) -> None:
        message = channel.basic_get(queue.name)
        if message is not None:
            channel.basic_reject(message.delivery_tag, requeue=True)

    return (
        lambda channel: queue(channel).declare(),
        lambda channel: channel.basic_publish(Message("{}"), exchange="", routing_key=nobody),
        take,
    )


def _tried(connection: Connection, use: Callable[[Any], Any]) -> AMQPError | None:
    """What the broker said against it; on a channel of its own, as it closes that then."""
    try:
        with connection.channel() as channel:
            use(channel)
    except (AccessRefused, PreconditionFailed, NotFound) as error:
        return error
    return None


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def database() -> Database:
    """The database, and which migrations it has had."""
    vendor = str(connection.vendor)
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        known = set(executor.loader.disk_migrations)
        ours = {app for app, _ in known}
        # An app that has gone leaves its rows: that is no sign of a newer version.
        strange = [
            key
            for key in executor.loader.applied_migrations
            if key[0] in ours and key not in known and not _is_replaced(executor, key)
        ]
        return Database(
            vendor,
            unapplied=tuple(f"{each.app_label}.{each.name}" for each, _ in plan),
            unknown=tuple(sorted(".".join(key) for key in strange)),
            clock_off_s=_database_clock_off_s(),
            ends_statements=_ends_statements(),
        )
    except (DatabaseError, InterfaceError) as error:
        return Database(vendor, error=first_line(error))


def _is_replaced(executor: MigrationExecutor, key: tuple[str, str]) -> bool:
    return any(key in each.replaces for each in executor.loader.replacements.values())


def _ends_statements() -> bool:
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0]) != "0"


def _database_clock_off_s() -> float | None:
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0]) - time()


def alive() -> tuple[tuple[Process, ...] | None, int, float]:
    """The processes that are alive (None while Redis is away), how many records wait, and for how
    many seconds the oldest does."""
    try:
        with impatient_redis(settings.REDIS_URL) as client:
            waiting: Any = client.xlen(STREAM)
            oldest: Any = client.xrange(STREAM, count=1)
            now_ms = clock_ms(client.time())
            age_s = (now_ms - int(oldest[0][0].partition(b"-")[0])) / 1000 if oldest else 0.0
            return tuple(processes(client)), waiting, max(0.0, age_s)
    except redis.RedisError:
        return None, 0, 0.0


def webhooks() -> tuple[tuple[str, str], ...]:
    """Each webhook that is to be told something: its name, and why it was disabled, or ''."""
    try:
        rows = WebhookEndpoint.objects.exclude(enabled=False, disabled_because="")
        names = rows.order_by("name").values_list("name", "enabled", "disabled_because")
        return tuple((name, "" if enabled else why) for name, enabled, why in names)
    except (DatabaseError, InterfaceError):
        return ()


def trunks() -> tuple[Trunk, ...] | None:
    """The trunks as they are configured; None while the database does not tell."""
    allowed = policy()
    try:
        return tuple(
            Trunk(each.name, each.dial_string, each.enabled, why_not(each.dial_string, allowed))
            for each in TrunkModel.objects.order_by("name")
        )
    except (DatabaseError, InterfaceError):
        return None
