"""PostgreSQL's host vanishes without a word and comes back: nothing waits for it for long."""

import asyncio
import time

import pytest
from django.db import OperationalError, connection, connections

from calls.errors import RoutingUnavailable
from calls.models import Account, Limit, Route, RouteTarget, Trunk
from calls.routing.choice import CallFacts
from calls.store.directory import QUERY_S, QUERY_THREADS, Directory
from calls.store.limit_book import READ_S, LimitBook
from cdr import patience
from cdr.models import Cdr
from cdr.writer import CdrWriter
from tests.cdr.made_up import record
from tests.lab.black_hole import BlackHole

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no host."),
]
SLACK_S = 1.0
"""How much later than its time-out an answer may come on a busy machine."""


@pytest.fixture
def way():
    """The way to the test's database, for every connection made from now on."""
    settings = connection.settings_dict
    there = settings["PORT"]
    with BlackHole(int(there)) as way:
        settings["PORT"] = str(way.port)
        connection.close()
        yield way
        settings["PORT"] = there
        connection.close()


@pytest.fixture
def routes(clean_redis):
    account = Account.objects.create(code="acme", name="Acme")
    trunk = Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a")
    RouteTarget.objects.create(route=Route.objects.create(prefix="49"), trunk=trunk)
    Limit.objects.create(scope="global", metric="cps", value=9)
    return account


@pytest.fixture
def directory(way, routes):
    found = Directory(7200)
    yield found
    found.close()


def facts(dialled):
    return CallFacts("demo:1", dialled, "", ("acme",), 0)


async def test_known_numbers_are_routed_and_unknown_ones_work_as_soon_as_it_is_back(way, directory):
    await directory.warm()
    known = await directory.find(facts("49401"), 0)
    way.vanish()
    for number in range(QUERY_THREADS):
        with pytest.raises(RoutingUnavailable):
            await directory.find(facts(f"4950{number}"), 0)
    assert await directory.find(facts("49401"), 1) == known

    way.come_back()
    began = time.monotonic()
    plan = await directory.find(facts("49402"), 1)

    assert plan.route == "49 (all)"
    assert time.monotonic() - began < SLACK_S


async def test_no_thread_is_left_waiting_for_an_answer(way, directory):
    await directory.warm()
    way.vanish()
    with pytest.raises(RoutingUnavailable):
        await directory.find(facts("49401"), 0)

    async with asyncio.timeout(SLACK_S):
        await asyncio.gather(*(directory._threads.ask(int) for _ in range(QUERY_THREADS)))


async def test_a_worker_starts_although_nothing_answers(way, directory, caplog):
    way.vanish()
    async with asyncio.timeout(QUERY_S + SLACK_S):
        await directory.warm()

    assert "calls are refused until it does" in caplog.text


async def test_the_limits_are_read_as_soon_as_it_is_back(way, routes):
    book = LimitBook()
    way.vanish()
    with pytest.raises(RoutingUnavailable):
        await book.read(0)
    way.come_back()
    async with asyncio.timeout(READ_S):
        assert (await book.read(0)).everybody
    await book.close()


def test_the_writer_goes_on_as_soon_as_it_is_back(way, redis_url, clean_redis, monkeypatch):
    monkeypatch.setattr("cdr.writer.WRITE_S", 0.5)
    writer = CdrWriter(redis_url, "records@test", block_ms=10)
    clean_redis.xadd("ringmaster:cdrs", {"cdr": record("pbx1:1").to_json()})
    writer.write_once()
    clean_redis.xadd("ringmaster:cdrs", {"cdr": record("pbx1:2").to_json()})
    way.vanish()
    with pytest.raises(OperationalError, match="no answer within"):
        writer.write_once()
    way.come_back()
    connection.close_if_unusable_or_obsolete()
    writer.write_once()
    writer.close()

    assert Cdr.objects.count() == 2


def test_a_statement_without_an_end_is_ended_by_the_server(way):
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("1min",)
        cursor.execute("SET statement_timeout = 20")
        with pytest.raises(OperationalError, match="statement timeout"):
            cursor.execute("SELECT pg_sleep(10)")


def test_every_connection_notices_a_peer_that_is_gone():
    options = connections.settings["default"]["OPTIONS"]

    # libpq's own: what is sent is acknowledged, and a silent peer is asked, within ten seconds.
    assert options["tcp_user_timeout"] <= 10_000
    asked_s = options["keepalives_idle"] + (
        options["keepalives_interval"] * options["keepalives_count"]
    )
    assert options["keepalives"] == 1
    assert asked_s <= 10


def test_a_wait_inside_another_ends_with_the_shorter(way):
    with patience.within(5), patience.within(60):
        way.vanish()
        with patience.within(0.2), pytest.raises(OperationalError, match=r"within 0\.2 s"):
            connection.ensure_connection()
    connection.close()
