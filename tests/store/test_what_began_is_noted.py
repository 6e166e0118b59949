"""A call is noted as it begins, once, by the script that begins it: the ledger counts by that."""

from calls.machine.events import ChannelLeft, HangupAsked
from tests.machine.world import CALL, A, entered


async def test_a_call_is_noted_as_it_begins_and_its_other_events_are_not(office):
    await office.post(entered())
    await office.post(HangupAsked(1, "root"))
    await office.attend()

    assert office.begun == [CALL]


async def test_an_entry_that_is_told_twice_is_noted_once(office):
    await office.post(entered())
    await office.post(entered())
    await office.attend()
    await office.post(entered())

    assert office.begun == [CALL]


async def test_late_events_of_a_call_that_never_began_begin_nothing(office):
    await office.post(ChannelLeft(A, 1))

    assert office.begun == []


async def test_a_channel_that_enters_again_after_its_end_begins_nothing(office):
    await office.begin()
    await office.post(HangupAsked(1, "root"))
    await office.attend()
    await office.settle()
    await office.post(entered())

    assert office.begun == [CALL]
