"""manage.py run_ari_bridge: the process that listens to Asterisk."""

import asyncio
import gc
import logging
import signal
from contextlib import suppress
from typing import Any

import uvloop
from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser
from redis import RedisError

from ari_bridge import metrics
from ari_bridge.bouncer import Bouncer
from ari_bridge.lease import Lease
from ari_bridge.listener import Listener
from ari_bridge.node import AriNode
from ari_bridge.poster import Poster
from ari_bridge.reconcile import Reconciler
from calls.engine.nudges import Nudger, shared_queue
from calls.store.heartbeats import Heart
from calls.store.mailbox import Mailboxes, connect
from calls.store.mark import Mark
from calls.vital import vital_task

DRAIN_S = 3.0
"""How long an ending bridge goes on posting what it has heard."""

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    # All checks would read all pages, which this process does not serve.
    requires_system_checks = (Tags.security,)
    help = (
        "Listen to the ARI of the nodes in ARI_NODES and hand their events to the workers. Run it "
        "twice, and the second takes over when the first ends."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--node", metavar="NAME", help="listen to this node only (default: all of ARI_NODES)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        nodes = _chosen(settings.ARI_NODES, options["node"])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_listen(nodes))


def _chosen(nodes: dict[str, AriNode], name: str | None) -> list[AriNode]:
    if not nodes:
        raise CommandError(
            "ARI_NODES names no Asterisk. Set it to name=http://user:password@host:8088, with the "
            "user and password of ari.conf."
        )
    if name is None:
        return list(nodes.values())
    if name not in nodes:
        raise CommandError(f"ARI_NODES has no node {name!r}; it has {', '.join(nodes)}.")
    return [nodes[name]]


async def _listen(nodes: list[AriNode]) -> None:
    redis = connect(settings.REDIS_URL)
    mailboxes = Mailboxes(redis, shared_queue())
    nudger = Nudger()
    nudger.start()
    poster = Poster(mailboxes, nudger)
    posting = vital_task("The poster", poster.run())
    reconciler = Reconciler(settings.ARI_APP, mailboxes, poster)
    bouncer = Bouncer(redis, settings.REFUSALS_PER_S, settings.SHORT_CODES)
    guarding = vital_task("The bouncer", bouncer.run()) if settings.REFUSALS_PER_S else None
    listeners = [
        Listener(
            node,
            settings.ARI_APP,
            poster,
            reconciler,
            Lease(redis, node.name),
            Mark(redis),
            bouncer,
        )
        for node in nodes
    ]
    metrics.begin(node.name for node in nodes)
    metrics.EVENTS_WAITING.set_function(lambda: poster.waiting)
    heart = Heart("bridge", lambda: ", ".join(each.describes_itself for each in listeners))
    heart.start()
    beating = asyncio.create_task(_sign(heart))
    listening = [
        vital_task(f"The listener of node {node.name}", listener.run())
        for node, listener in zip(nodes, listeners, strict=True)
    ]
    # What has been imported stays for good: no collection need walk over it, nor keep the loop.
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, _end, listeners, listening)
    try:
        await asyncio.gather(*listening, return_exceptions=True)
        await poster.drain(DRAIN_S)
        with suppress(RedisError):
            await bouncer.write()
    finally:
        beating.cancel()
        heart.stop()
        posting.cancel()
        if guarding is not None:
            guarding.cancel()
        nudger.close()
        await redis.aclose()
    logger.info("The ARI bridge has ended.")


async def _sign(heart: Heart) -> None:
    while True:
        heart.sign()
        await asyncio.sleep(1)


def _end(listeners: list[Listener], listening: list[asyncio.Task[None]]) -> None:
    """Hand over at the first signal, and end at once at the second."""
    for listener, task in zip(listeners, listening, strict=True):
        if listener.is_ending:
            task.cancel()
        listener.end()
