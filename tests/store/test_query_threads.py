"""Threads that ask the database: they leave no connection behind, and trust none that is dead."""

import asyncio

import pytest
from django.db import OperationalError, connection

from calls.store.query_threads import QueryThreads
from tests.lab.black_hole import BlackHole
from tests.lab.waiting import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no host."),
]
COUNT = 3
SECONDS = 0.5


@pytest.fixture
def way():
    settings = connection.settings_dict
    there = settings["PORT"]
    with BlackHole(int(there)) as way:
        settings["PORT"] = str(way.port)
        yield way
        settings["PORT"] = there


@pytest.fixture
def threads():
    found = QueryThreads(COUNT, "asked", SECONDS)
    yield found
    found.close()


def backend():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


async def connect_all(threads):
    """The processes of the server behind all of them."""
    found = set()
    while len(found) < COUNT:
        found.update(await asyncio.gather(*(threads.ask(backend) for _ in range(COUNT))))
    return found


def alive(backends):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s)", [list(backends)])
        return {pid for (pid,) in cursor.fetchall()}


def test_none_of_them_is_connected_any_more_once_they_are_closed():
    threads = QueryThreads(COUNT, "asked", SECONDS)
    backends = asyncio.run(connect_all(threads))
    assert alive(backends) == backends

    threads.close()

    # A server's process lives on for a moment after its client has said goodbye.
    wait_for(
        lambda: not alive(backends),
        timeout_s=10,
        failure=lambda: f"{alive(backends)} of {backends} are connected still",
    )


async def test_after_one_loss_no_connection_made_before_it_is_tried(way, threads):
    before = await connect_all(threads)
    way.vanish()
    with pytest.raises(OperationalError, match="no answer within"):
        await threads.ask(backend)
    way.come_back()

    after = await asyncio.gather(*(threads.ask(backend) for _ in range(COUNT * 3)))

    assert before.isdisjoint(after)


async def test_one_that_was_never_asked_ends_at_once():
    QueryThreads(COUNT, "asked", SECONDS).close()
