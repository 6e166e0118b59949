"""manage.py run_ari_bridge: the process that listens to Asterisk."""

import asyncio
import logging
import signal
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ari_bridge.listener import Listener
from ari_bridge.node import AriNode
from ari_bridge.poster import Poster
from ari_bridge.reconcile import Reconciler
from calls.mailbox import Mailboxes, connect
from calls.nudges import Nudger

DRAIN_S = 3.0
"""How long an ending bridge goes on posting what it has heard."""

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Listen to the ARI of the nodes in ARI_NODES and hand their events to the workers."

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
    mailboxes = Mailboxes(redis)
    nudger = Nudger()
    nudger.start()
    poster = Poster(mailboxes, nudger)
    posting = asyncio.create_task(poster.run())
    reconciler = Reconciler(settings.ARI_APP, mailboxes, poster)
    listening = [
        asyncio.create_task(Listener(node, settings.ARI_APP, poster, reconciler).run())
        for node in nodes
    ]
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, _cancel, listening)
    try:
        results = await asyncio.gather(*listening, return_exceptions=True)
        await poster.drain(DRAIN_S)
    finally:
        posting.cancel()
        nudger.close()
        await redis.aclose()
    for result in results:
        if isinstance(result, Exception):
            raise result
    logger.info("The ARI bridge has ended.")


def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
