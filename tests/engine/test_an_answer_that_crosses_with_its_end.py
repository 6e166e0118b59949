"""Reproduction: the answer of an attempt that was given up makes an answered call, by workers."""

from calls.machine.commands import Hangup
from tests.engine.office import Killed
from tests.machine.world import A, b, plan, target


async def test_an_answer_that_crosses_with_the_end_of_a_call_begun_anew_is_no_talk(office):
    """Redis is emptied while B rings. The call is begun anew and B's leg ended, whose answer
    crosses with that; the worker dies before it knows the route, and the caller hangs up."""
    office.world.found = plan(target(), target("carrier-b"))
    await office.begin()
    office.world.ring(b())
    office.client.flushdb()
    office.world.told.clear()
    office.engine = office.hire()
    await office.post(office.world.as_found())
    find = office.directory.find

    async def answer_first(command):
        if command == Hangup(b(), 16):
            office.world.answer(b())

    async def die(*_):
        office.directory.find = find
        office.world.end(A)
        await office.tell()
        raise Killed

    office.gateway.before = answer_first
    office.directory.find = die
    await office.attend()
    await office.settle()

    (record,) = office.records
    assert record.disposition == "cancelled"
    assert record.answered_ms is None
