"""Who is refused too often is refused at the door, and one record a second counts the calls."""

import asyncio
from dataclasses import replace

import pytest
import redis as redis_package

from ari_bridge import bouncer as bouncer_module
from ari_bridge.bouncer import Bouncer
from calls import causes, ids
from calls.machine.beginning import begin, facts_of
from calls.machine.events import CallEntered, ChannelLeft, ChannelRinging
from calls.routing.choice import Refusal
from calls.store.mailbox import connect
from calls.store.refusals import REFUSING, Refusals
from cdr.record import CallRecord, Disposition
from cdr.stream import FIELD, STREAM

MOST = 3


def entered(number, dialled="0019001234", *, account="acme", endpoint="alice"):
    return CallEntered(
        f"1763900000.{number}",
        1_000 + number,
        f"PJSIP/{endpoint}-0000",
        dialled,
        "4420790000",
        "Eve",
        account,
    )


def refusal(disposition=Disposition.NO_ROUTE, account="acme"):
    return Refusal(disposition, causes.UNALLOCATED, "no route", account=account)


@pytest.fixture
async def client(redis_url, clean_redis):
    found = connect(redis_url)
    yield found
    await found.aclose()


@pytest.fixture
def refusals(client):
    return Refusals(client, MOST)


@pytest.fixture
def bouncer(client):
    return Bouncer(client, MOST, "112 11x")


async def refuse(refusals, times, *, code="acme", endpoint="alice", **kind):
    """Refuse a caller with this accountcode so often, as a worker does."""
    session = begin("n:1", entered(1, account=code, endpoint=endpoint))
    for _ in range(times):
        await refusals.note(facts_of(session), refusal(**kind))


async def look(bouncer, refusals):
    bouncer._refused = await refusals.refused_now()


def records(clean_redis):
    return [CallRecord.from_json(entry[FIELD.encode()]) for _, entry in clean_redis.xrange(STREAM)]


async def test_below_the_rate_everybody_is_looked_at(bouncer, refusals):
    await refuse(refusals, MOST - 1)
    await look(bouncer, refusals)

    assert not bouncer.turns_away("n", entered(1))


async def test_the_caller_of_an_ordered_call_is_awaited_and_not_turned_away(bouncer, refusals):
    await refuse(refusals, MOST)
    await look(bouncer, refusals)
    awaited = replace(entered(1), channel_id=ids.ordered_channel("token:1", "key", "20261129"))

    assert bouncer.turns_away("n", entered(1))
    assert not bouncer.turns_away("n", awaited)


@pytest.mark.parametrize(
    ("caller", "turned_away"),
    [
        ({}, True),
        ({"endpoint": "another"}, True),
        ({"account": "another"}, True),
        ({"account": "", "endpoint": "acme"}, True),
        ({"account": "another", "endpoint": "another"}, False),
    ],
)
async def test_an_account_and_a_source_that_were_refused_too_often_are_turned_away(
    bouncer, refusals, caller, turned_away
):
    await refuse(refusals, MOST)
    await look(bouncer, refusals)

    assert bouncer.turns_away("n", entered(1, **caller)) is turned_away


async def test_a_caller_without_an_account_is_known_by_its_endpoint(bouncer, refusals):
    unknown = {"disposition": Disposition.UNAUTHORIZED, "account": ""}
    await refuse(refusals, MOST, code="", endpoint="mallory", **unknown)
    await look(bouncer, refusals)

    assert bouncer.turns_away("n", entered(1, account="", endpoint="mallory"))
    assert not bouncer.turns_away("n", entered(2, account="", endpoint="bob"))


async def test_a_caller_whose_accountcode_no_account_has_is_known_by_its_endpoint(
    bouncer, refusals
):
    unknown = {"disposition": Disposition.UNAUTHORIZED, "account": ""}
    await refuse(refusals, MOST, code="renamed", endpoint="mallory", **unknown)
    await look(bouncer, refusals)

    assert bouncer.turns_away("n", entered(1, account="renamed", endpoint="mallory"))
    assert not bouncer.turns_away("n", entered(2, account="renamed", endpoint="bob"))


@pytest.mark.parametrize("dialled", ["112", "+112", "110", "115"])
async def test_emergency_calls_always_get_in(bouncer, refusals, dialled):
    await refuse(refusals, MOST)
    await look(bouncer, refusals)

    assert not bouncer.turns_away("n", entered(1, dialled))


async def test_a_second_later_they_are_looked_at_again(bouncer, refusals, clean_redis):
    await refuse(refusals, MOST)
    seconds, _ = clean_redis.time()
    clean_redis.zadd(REFUSING, {"account:acme": seconds * 1000 - 1, "source:alice": 1})
    await look(bouncer, refusals)

    assert not bouncer.turns_away("n", entered(1))
    assert clean_redis.zcard(REFUSING) == 0


@pytest.mark.parametrize(
    "disposition", [Disposition.CONGESTION, Disposition.LIMITED, Disposition.BUSY]
)
async def test_what_is_not_the_callers_own_doing_does_not_count(refusals, disposition):
    await refuse(refusals, 10 * MOST, disposition=disposition)

    assert await refusals.refused_now() == frozenset()


async def test_one_record_stands_for_all_that_were_turned_away(bouncer, refusals, clean_redis):
    await refuse(refusals, MOST, code="", endpoint="mallory", account="")
    await look(bouncer, refusals)
    for number in range(50):
        assert bouncer.turns_away("n", entered(number, account="", endpoint="mallory"))
    await bouncer.write()

    (record,) = records(clean_redis)
    assert (record.call_id, record.calls) == ("n:1763900000.0", 50)
    assert (record.started_ms, record.ended_ms) == (1_000, 1_049)
    assert (record.disposition, record.ended_by) == ("limited", "limit")
    assert (record.callee_received, record.caller_received) == ("0019001234", "4420790000")
    assert record.reason == (
        "50 calls of source mallory refused unlooked at: more than 3 in a second had to be refused "
        "(REFUSALS_PER_S)"
    )
    await bouncer.write()
    assert len(records(clean_redis)) == 1


async def test_the_events_of_such_a_channel_go_nowhere_either(bouncer, refusals):
    await refuse(refusals, MOST)
    await look(bouncer, refusals)
    assert bouncer.turns_away("n", entered(1))

    assert bouncer.turns_away("n", ChannelRinging("1763900000.1", 2))
    assert bouncer.turns_away("n", ChannelLeft("1763900000.1", 2))
    assert not bouncer.turns_away("n", ChannelLeft("1763900000.1", 3))
    assert not bouncer.turns_away("n", ChannelLeft("1763900000.2", 3))


async def test_a_call_that_asterisk_would_not_hang_up_is_let_in(bouncer, refusals):
    await refuse(refusals, MOST)
    await look(bouncer, refusals)
    call = entered(1)
    assert bouncer.turns_away("n", call)
    bouncer.readmit(call)

    assert not bouncer.turns_away("n", ChannelLeft(call.channel_id, 2))


class Awaited(asyncio.Event):
    """Tells when somebody waits for it."""

    def __init__(self):
        super().__init__()
        self.is_awaited = asyncio.Event()

    async def wait(self):
        self.is_awaited.set()
        return await super().wait()


async def test_while_nobody_calls_nobody_looks(bouncer, monkeypatch):
    monkeypatch.setattr(bouncer_module, "LOOK_S", 0)
    monkeypatch.setattr(bouncer_module, "QUIET_S", 0)
    looks = asyncio.Queue()
    bouncer._came = came = Awaited()

    async def looked():
        looks.put_nowait(None)
        return frozenset()

    monkeypatch.setattr(bouncer._refusals, "refused_now", looked)
    running = asyncio.create_task(bouncer.run())
    async with asyncio.timeout(10):
        await came.is_awaited.wait()
        before = looks.qsize()
        for _ in range(100):
            await asyncio.sleep(0)
        assert looks.qsize() == before

        bouncer.turns_away("n", entered(1))
        for _ in range(before + 1):
            await looks.get()
    running.cancel()


async def test_counts_are_kept_while_redis_is_away(bouncer, refusals, clean_redis, monkeypatch):
    await refuse(refusals, MOST)
    await look(bouncer, refusals)
    bouncer.turns_away("n", entered(1))

    async def away(*_):
        raise redis_package.ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(bouncer._redis, "xadd", away)
        with pytest.raises(redis_package.ConnectionError):
            await bouncer.write()
    bouncer.turns_away("n", entered(2))
    await bouncer.write()

    assert [record.calls for record in records(clean_redis)] == [2]


async def test_a_refusal_that_cannot_be_counted_is_one_all_the_same(refusals, monkeypatch, caplog):
    async def away(**_):
        raise redis_package.ConnectionError("away")

    monkeypatch.setattr(refusals, "_note", away)
    await refuse(refusals, 1)

    assert "its refusal could not be counted: away" in caplog.text
