"""manage.py run_sip_trace: the process that catches SIP for the stories of calls."""

import asyncio
import logging
import signal
from typing import Any

import uvloop
from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError
from redis.asyncio import Redis

from ari_bridge.sip_trace import Catcher

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    # All checks would read all pages, which this process does not serve.
    requires_system_checks = (Tags.security,)
    help = (
        "Catch the SIP of calls, which Asterisk sends by HEP (hep.conf) to SIP_TRACE_BIND, for the "
        "stories of calls. Optional; run it beside each Asterisk whose calls are to be traced."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIP_TRACE.off:
            raise CommandError(
                "SIP_TRACE is off, so nothing would be kept. Set SIP_TRACE=all, SIP_TRACE=failed, "
                "or SIP_TRACE=accounts:code,code for this process and for the records worker."
            )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_catch(*settings.SIP_TRACE_BIND))


async def _catch(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, ended.set)
    client = Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
    catcher = Catcher(client)
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: catcher, local_addr=(host, port))
    except OSError as error:
        raise CommandError(
            f"SIP_TRACE_BIND {host}:{port} cannot be listened to: {error.strerror}."
        ) from error
    handing_over = asyncio.create_task(catcher.run())
    logger.info("Catching SIP at %s:%d.", host, port)
    try:
        await ended.wait()
        transport.close()
        await catcher.flush()
    finally:
        handing_over.cancel()
        await client.aclose()
