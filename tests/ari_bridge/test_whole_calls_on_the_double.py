"""Listener, mailboxes, engine and gateway together on the double: calls over a node that loses,
doubles and stalls."""

import asyncio

import pytest
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from ari_bridge.gateway import AriClient, AriGateway
from ari_bridge.heard import Heard
from ari_bridge.lease import Lease
from ari_bridge.listener import Listener
from ari_bridge.poster import Poster
from ari_bridge.reconcile import Reconciler
from calls.engine.turn import Engine
from calls.machine.session import Phase, from_json
from calls.store.counters import Limits
from calls.store.mailbox import Mailboxes, connect
from calls.store.mark import Mark
from cdr.record import CallRecord
from cdr.stream import FIELD, STREAM
from tests.limits.conftest import OpenBook
from tests.machine.world import plan, target

A = "1763900000.9"
B = f"{A}.b1"
KINDS = ("StasisStart", "Dial", "ChannelStateChange", "ChannelHangupRequest", "StasisEnd",
         "ChannelDestroyed")  # fmt: skip


class OneRoute:
    """A directory that sends every call to the double's carrier."""

    async def find(self, facts, version):
        to = target(ring_timeout_s=30)
        return plan(type(to)(to.trunk, "PJSIP/33123@carrier-a", to.callee, to.caller, 30))

    async def endpoint(self, trunk, number, version):
        return f"PJSIP/{number}@{trunk}"


class Ringmaster:
    """Everything between the double and the CDR stream, in one process."""

    def __init__(self, double, redis_url, client):
        self.double, self.client = double, client
        self._redis = connect(redis_url)
        self.mailboxes = Mailboxes(self._redis)
        self._gateway = AriGateway({"double": double.node}, "ringmaster")
        self._engine = Engine(
            self.mailboxes, self._gateway, OneRoute(), Limits(self._redis, OpenBook())
        )
        self.poster = Poster(self.mailboxes, self)
        self.reconciler = Reconciler("ringmaster", self.mailboxes, self.poster)
        self._ari = AriClient(double.node)
        self._turns = set()
        self.compares = False

    def nudge(self, calls):
        for call in calls:
            self._turns.add(asyncio.create_task(self._engine.attend(call)))

    async def sweep(self):
        """What the sweeper does, and reconciliation where the test asks for it."""
        if self.compares:
            await self.reconciler.run("double", self._ari, Heard())
            await self.poster.drain(5)
        for call, _ in (await self.mailboxes.due(0)).calls:
            await self._engine.attend(call)

    async def __aenter__(self):
        listener = Listener(
            self.double.node,
            "ringmaster",
            self.poster,
            self.reconciler,
            Lease(self._redis, "double"),
            Mark(self._redis),
        )
        self._running = [
            asyncio.create_task(self.poster.run()),
            asyncio.create_task(listener.run()),
        ]
        await self.double.wait_for(lambda: any("eventFilter" in r for r in self.double.requests))
        return self

    async def __aexit__(self, *_):
        await asyncio.gather(*self._turns)
        for task in self._running:
            task.cancel()
        await asyncio.wait(self._running)
        await self._gateway.close()
        await self._ari.close()
        await self._redis.aclose()

    @property
    def talks(self):
        saved = self.client.hget(f"ringmaster:call:double:{A}", "session")
        return from_json(saved).phase is Phase.TALKING

    @property
    def records(self):
        return [
            CallRecord.from_json(each[FIELD.encode()]) for _, each in self.client.xrange(STREAM)
        ]

    async def until(self, condition):
        """Sweep until it is so."""
        pause = AsyncRetrying(
            retry=retry_if_result(lambda done: not done),
            wait=wait_fixed(0.01),
            stop=stop_after_delay(20),
        )
        await pause(self._sweep_and_see, condition)

    async def _sweep_and_see(self, condition):
        await self.poster.drain(5)
        await asyncio.gather(*self._turns)
        await self.sweep()
        return condition()


@pytest.fixture
async def ringmaster(double, redis_url, clean_redis):
    async with Ringmaster(double, redis_url, clean_redis) as running:
        yield running


async def a_call(ringmaster):
    """B is dialled, rings, answers; then the caller hangs up."""
    double = ringmaster.double
    double.enter(A)
    await ringmaster.until(lambda: B in double.channels and double.channels[B].dials)
    double.ring(B)
    double.answer(B)
    double.channels[A].state = "Up"
    await ringmaster.until(lambda: ringmaster.talks)
    double.end(A)
    await ringmaster.until(lambda: ringmaster.records)


def assert_clean(ringmaster):
    (record,) = ringmaster.records
    assert record.disposition == "answered"
    assert ringmaster.double.channels == {}
    assert ringmaster.double.bridges == {}
    dials = [each for each in ringmaster.double.requests if each.endswith("/dial")]
    assert dials == [f"POST /channels/{B}/dial"]
    return record


async def test_a_call_on_a_node_without_faults(ringmaster):
    await a_call(ringmaster)

    record = assert_clean(ringmaster)
    assert (record.ended_by, record.integrity) == ("caller", "complete")


async def test_a_call_every_event_of_which_comes_twice(ringmaster):
    ringmaster.double.copies = dict.fromkeys(KINDS, 2)
    await a_call(ringmaster)

    assert_clean(ringmaster)


@pytest.mark.parametrize("lost", ["Dial", "ChannelHangupRequest", "StasisEnd", "ChannelDestroyed"])
async def test_a_call_one_kind_of_whose_events_is_lost(ringmaster, lost):
    ringmaster.double.copies = {lost: 0}
    ringmaster.compares = True
    await a_call(ringmaster)

    assert_clean(ringmaster)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/channels/create"),
        ("POST", "/bridges/.*br"),
        ("POST", "/bridges/.*addChannel"),
        ("POST", "/channels/.*/variable"),
        ("DELETE", "/channels/.*"),
        ("DELETE", "/bridges/.*"),
    ],
)
@pytest.mark.parametrize("fault", ["lost reply", "dropped"])
async def test_a_call_one_of_whose_requests_breaks(ringmaster, method, path, fault):
    ringmaster.double.fail(method, path, fault)
    await a_call(ringmaster)

    assert_clean(ringmaster)


async def test_a_dial_whose_reply_stalls_is_not_repeated(ringmaster):
    double = ringmaster.double
    double.fail("POST", f"/channels/{B}/dial", "stalled")
    double.enter(A)
    await ringmaster.until(lambda: ringmaster.records)

    (record,) = ringmaster.records
    assert (record.disposition, record.ended_by) == ("congestion", "switch")
    assert "dial" in record.reason or "reached" in record.reason
    assert [each for each in double.requests if each.endswith("/dial")] == [
        f"POST /channels/{B}/dial"
    ]
    assert double.channels == {}
    assert double.bridges == {}
