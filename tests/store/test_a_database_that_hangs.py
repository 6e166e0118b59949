"""The database hangs just after the configuration changed: known numbers are routed all the same.

Route and limits are asked for at the same time, so that their time-outs do not add up to more than
a caller is given.
"""

import asyncio

import pytest

from calls.limits.rules import Book, bind
from calls.store import limit_book
from calls.store.limit_book import LimitBook
from tests.engine.office import Office
from tests.limits.calls import limit
from tests.machine.world import World


@pytest.fixture
def office(mailboxes, clean_redis, make_limits):
    """A worker that has read the limits once, and knows the number; now another version holds."""
    limits = make_limits(bind([limit(target="acme")]))
    office = Office(mailboxes, clean_redis, World(), limits=limits)
    limits._book = LimitBook()
    limits._book._book = Book()
    limits._book._version = 0
    clean_redis.set("ringmaster:config_version", 1)
    return office


async def test_limits_are_asked_for_while_the_route_is_looked_up(office, monkeypatch):
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang():
        loop.call_soon_threadsafe(asked.set)
        raise limit_book.DatabaseError("no answer within 1.5 s")

    async def find(facts, version):
        await asked.wait()
        return office.world.found

    monkeypatch.setattr(limit_book, "_read_afresh", hang)
    monkeypatch.setattr(office.directory, "find", find)
    await office.begin()

    assert office.session.route == "33 (all)"


async def test_a_failure_that_nobody_waited_for_is_no_fault(office, monkeypatch, recwarn):
    def hang():
        raise limit_book.DatabaseError("no answer within 1.5 s")

    monkeypatch.setattr(limit_book, "_read_afresh", hang)
    office.limits._book._book = None
    office.limits.prepare(1)
    await asyncio.wait([office.limits._book._reading[1]])

    assert [str(each.message) for each in recwarn] == []
