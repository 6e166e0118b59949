"""Ending live calls because a person says so."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from kombu.exceptions import OperationalError

from calls.clock import wall_clock_ms
from calls.engine.nudges import MOST_CALLS, Publisher
from calls.machine.events import HangupAsked
from calls.store.mailbox import Mailboxes, connect

POSTED_AT_ONCE = 500
"""Calls asked in one round trip to Redis."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of it: the calls that were asked to end, and those that were over already.

    ``slow`` is a sentence when the broker took no nudge: the calls end up to a second later.
    """

    calls: tuple[str, ...]
    over: tuple[str, ...]
    slow: str = ""


def hang_up(calls: Sequence[str], by: str) -> Asked:
    """Ask these calls to end; ``by`` is who says so, as their CDRs will.

    Not for use on an event loop. Raises redis.RedisError when Redis fails; then some of them may
    have been asked, and asking again does no harm.
    """
    live, over, to_nudge = asyncio.run(_post(calls, by))
    return Asked(live, over, _nudge(to_nudge))


async def _post(
    calls: Sequence[str], by: str
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    async with connect(settings.REDIS_URL) as client:
        mailboxes = Mailboxes(client)
        await mailboxes.load_scripts()
        up = set(await mailboxes.live())
        live = tuple(call for call in dict.fromkeys(calls) if call in up)
        to_nudge: list[str] = []
        for start in range(0, len(live), POSTED_AT_ONCE):
            asked = HangupAsked(wall_clock_ms(), by)
            some = live[start : start + POSTED_AT_ONCE]
            to_nudge += await mailboxes.post([(call, asked) for call in some])
    return live, tuple(call for call in calls if call not in up), to_nudge


def _nudge(calls: Sequence[str]) -> str:
    if not calls:
        return ""
    publisher = Publisher()
    try:
        for start in range(0, len(calls), MOST_CALLS):
            publisher.publish(list(calls[start : start + MOST_CALLS]))
    except (OperationalError, OSError) as error:
        return f"The broker takes no nudge ({error}); the calls end within a second."
    finally:
        publisher.close()
    return ""
