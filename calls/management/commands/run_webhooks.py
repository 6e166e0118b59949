"""manage.py run_webhooks: the process that tells other people's programs what happens."""

import asyncio
import logging
import signal
from typing import Any

import uvloop
from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand

from calls.store.heartbeats import Heart
from calls.webhooks.request import Courier
from calls.webhooks.sender import Sender

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    # All checks would read all pages, which this process does not serve.
    requires_system_checks = (Tags.security,)
    help = (
        "Bring what happens to the webhooks that are configured in the admin. Without it nothing "
        "is told, and nothing else is missed; several may run."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        heart = Heart("webhooks")
        heart.start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_send(heart))
        finally:
            heart.stop()


async def _send(heart: Heart) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    courier = Courier(settings.WEBHOOK_ALLOW_PRIVATE)
    sender = Sender(
        (settings.REDIS_URL, settings.LIMITS_REDIS_URL),
        courier,
        settings.WEBHOOK_RETRY_S,
        settings.WEBHOOK_DAYS,
        heart.sign,
    )
    logger.info("The sender of webhooks is ready.")
    try:
        await sender.run(stop)
    finally:
        await courier.close()
