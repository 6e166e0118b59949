"""Which accounts and trunks have series of their own among the metrics: the busiest.

All processes ask the same question when they start, so they name the same ones, as far as the
answer is the same; who comes later has a series while there is room.
"""

import asyncio
import logging
from datetime import timedelta

from django.db import Error, connection
from django.db.models import Sum
from django.utils import timezone

from calls import metrics
from calls.models import Account, Trunk
from cdr import patience
from cdr.models import HourlyCalls

DAYS = 7
PATIENCE_S = 1.0

logger = logging.getLogger(__name__)


async def expect_busiest() -> None:
    """Let their counters begin at 0. Without a database the names come as they are called."""
    await asyncio.to_thread(_expect)


def _expect() -> None:
    try:
        with patience.within(PATIENCE_S):
            metrics.expect(
                _names(HourlyCalls.Kind.ACCOUNT, Account, "code"),
                _names(HourlyCalls.Kind.TRUNK, Trunk, "name"),
            )
    except Error as error:
        logger.warning("The database does not say which trunks are the busiest: %s", error)
    finally:
        connection.close()


def _names(kind: HourlyCalls.Kind, model: type[Account] | type[Trunk], name: str) -> list[str]:
    """The configured ones, the busiest of the last days first, then those set up first."""
    since = timezone.now() - timedelta(days=DAYS)
    days = HourlyCalls.objects.filter(span=HourlyCalls.Span.DAY, kind=kind, hour__gte=since)
    sums = days.values("key").annotate(calls=Sum("attempts")).order_by("-calls", "key")
    busy = list(sums.values_list("key", flat=True)[: 2 * metrics.MOST_NAMES])
    rows = model._default_manager.filter(enabled=True)
    still = set(rows.filter(**{f"{name}__in": busy}).values_list(name, flat=True))
    others = rows.order_by("pk").values_list(name, flat=True)[: metrics.MOST_NAMES]
    return [each for each in busy if each in still] + list(others)
