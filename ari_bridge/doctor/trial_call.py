"""The trial call: all the way from a channel in Asterisk to a row in the database.

It is a call of a stranger's, who belongs to no account: heard, looked up, refused, hung up and
recorded like any other, by every process that calls need, and by nothing else. It has no B leg, so
it reaches no carrier whatever the routes say. Where the dialplan can lead nowhere but into the
application, it comes in by the dialplan, through a Local channel; else straight into it.
"""

import asyncio
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from ari_bridge.client import AriClient, Unreachable, client_of
from ari_bridge.doctor import dialplan
from ari_bridge.doctor.facts import Node, Stage, TrialCall
from ari_bridge.doctor.node import asking, connected
from ari_bridge.node import AriNode
from calls import ids
from calls.store.impatient import impatient_redis
from calls.store.mailbox import ATTEND
from cdr.errors import first_line
from cdr.models import Cdr

CALLER = "Ringmaster doctor"
NUMBERS = ("9990000000", "+9990000000", "009990000000", "1000")
"""What is dialled: a country code that nobody has, in the forms that dialplans take."""
PATIENCE_S = 10.0
"""How long a record may take: it is written within a second or two where all is well."""
LOOK_S = 0.1


async def place(node: AriNode, found: Node, app: str) -> TrialCall:
    """Place the call, and wait for its record."""
    began, token = monotonic(), f"ringmaster-doctor-{uuid4().hex[:12]}"
    channels = (f"{token}-1", f"{token}-2")
    way = ""
    try:
        async with client_of(node) as ari, AsyncExitStack() as open_ones:
            way, number = await _way(ari, found, app)
            own = f"{app}-{token}"
            if way:
                await open_ones.enter_async_context(connected(node, own))
            try:
                await _begin(ari, channels, way, number, own if way else app)
                seen = await _follow(node.name, channels)
                left = await _left(ari, node.name, channels) if seen[0] is Stage.RECORDED else ()
            finally:
                for channel in channels:
                    await ari.repeatable("DELETE", f"/channels/{quote(channel)}")
    except (Unreachable, aiohttp.ClientError, OSError, TimeoutError) as error:
        return TrialCall(node.name, way, Stage.NOT_PLACED, error=str(error) or "no answer")
    stage, rows = seen
    if stage is not Stage.RECORDED:
        return TrialCall(node.name, way, stage)
    return TrialCall(
        node.name,
        way,
        stage,
        records=len(rows),
        disposition=rows[0].disposition,
        integrity=rows[0].integrity,
        took_s=monotonic() - began,
        left=left,
    )


async def _way(ari: AriClient, found: Node, app: str) -> tuple[str, str]:
    """The context to come in by and the number to dial; no context for straight in."""
    for context in found.contexts or ():
        if dialplan.leads_nowhere_else(context, app, found.variables):
            async with asking(ari, app) as channel:
                for number in NUMBERS:
                    exists = f"DIALPLAN_EXISTS({context.name},{number},1)"
                    if await channel.function(exists) == "1":
                        return context.name, number
    return "", NUMBERS[0]


async def _begin(
    ari: AriClient, channels: tuple[str, str], way: str, number: str, app: str
) -> None:
    """Raises Unreachable."""
    params = {
        "endpoint": f"Local/{number}@{way or 'ringmaster-doctor'}",
        "app": app,
        "channelId": channels[0],
        "otherChannelId": channels[1],
    }
    if way:
        params |= {"callerId": CALLER, "timeout": str(int(PATIENCE_S))}
    answer = await ari.request("POST", "/channels" if way else "/channels/create", params)
    if not answer.ok:
        raise Unreachable(
            f"Asterisk refuses it ({answer.status} {answer.message})".rstrip(), sent=True
        )


async def _follow(node: str, channels: tuple[str, str]) -> tuple[Stage, list[Cdr]]:
    """Wait for the record; where none comes, say how far the call came."""
    calls = [ids.call_id(node, channel) for channel in channels]
    until, heard, live = monotonic() + PATIENCE_S, False, False
    while True:
        rows = await asyncio.to_thread(_records, calls)
        # Whatever else it leaves comes with the first: one script ends a call.
        if rows:
            return Stage.RECORDED, rows
        heard, live = await asyncio.to_thread(_in_redis, calls, heard)
        if monotonic() > until:
            break
        await asyncio.sleep(LOOK_S)
    return (Stage.NOT_DECIDED if live else Stage.NOT_WRITTEN if heard else Stage.NOT_HEARD), []


def _records(calls: list[str]) -> list[Cdr]:
    try:
        return list(Cdr.objects.filter(call_id__in=calls))
    except (DatabaseError, InterfaceError) as error:
        raise OSError(f"the database does not answer: {first_line(error)}") from error
    finally:
        # Each look may come from another thread, which would keep its connection for good.
        connection.close()


def _in_redis(calls: list[str], heard: bool) -> tuple[bool, bool]:
    """Whether Redis has heard of the call, and whether it is live there."""
    try:
        with impatient_redis(settings.REDIS_URL) as client:
            live = any(client.zscore(ATTEND, call) is not None for call in calls)
            known: Any = client.exists(*(f"ringmaster:call:{call}" for call in calls))
    except redis.RedisError as error:
        raise OSError(f"Redis does not answer: {first_line(error)}") from error
    return heard or live or bool(known), live


async def _left(ari: AriClient, node: str, channels: tuple[str, str]) -> tuple[str, ...]:
    """What there still is of a call that has its record: nothing, after a moment."""
    until = monotonic() + 2.0
    while True:
        left = []
        for channel in channels:
            if (await ari.repeatable("GET", f"/channels/{quote(channel)}")).ok:
                left.append(f"the channel {channel}")
        calls = [ids.call_id(node, channel) for channel in channels]
        if (await asyncio.to_thread(_in_redis, calls, False))[1]:
            left.append("a live call in Redis")
        if not left or monotonic() > until:
            return tuple(left)
        await asyncio.sleep(LOOK_S)
