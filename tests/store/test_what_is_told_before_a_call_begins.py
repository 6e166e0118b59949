"""Asterisk tells some things of a channel before it tells that it entered Stasis: of one that it
called itself, that it is up. They come with the call's beginning in one batch, or before it."""

import pytest

from calls.machine.events import (
    ChannelAnswered,
    ChannelDestroyed,
    ChannelLeft,
    ChannelRinging,
    HangupRequested,
)
from calls.machine.session import Phase
from tests.machine.world import CALL, A, entered


async def test_a_call_begins_whatever_its_batch_tells_first(office):
    await office.post(ChannelRinging(A, 998), ChannelAnswered(A, 999), entered(1_000))

    assert office.nudges == [CALL]
    assert office.begun == [CALL]
    await office.attend()
    assert office.session.phase is Phase.DIALLING


async def test_what_came_before_the_beginning_is_heard(office):
    await office.post(ChannelAnswered(A, 999), entered(1_000))
    await office.attend()

    assert office.session.a_up


async def test_an_answer_told_alone_is_told_again_by_the_channel_that_enters(office):
    await office.post(ChannelAnswered(A, 999))
    await office.post(entered(1_000, up=True))
    await office.attend()

    assert office.begun == [CALL]
    assert office.session.a_up


@pytest.mark.parametrize("end", [HangupRequested(A, 999, 127), ChannelDestroyed(A, 999, 16)])
async def test_a_caller_who_is_gone_before_the_call_begins_has_left_it(office, end):
    await office.post(end, entered(1_000))
    office.world.channels.pop(A)
    await office.settle()

    record = office.assert_ended_clean()
    assert (record.disposition, record.ended_by) == ("cancelled", "caller")


async def test_a_channel_that_left_and_entered_again_is_there(office):
    await office.post(ChannelLeft(A, 999), entered(1_000))
    await office.attend()

    assert office.session.phase is Phase.DIALLING
    assert not office.session.a_gone


async def test_a_caller_who_leaves_a_known_call_and_enters_again_has_ended_it(office):
    """As a dialplan does whose pattern matches the h extension."""
    await office.begin()
    office.world.end(A, silently=True)
    office.world.told.clear()
    await office.post(ChannelLeft(A, 2_000), entered(2_001))
    await office.settle()

    record = office.assert_ended_clean()
    assert (record.disposition, record.ended_by) == ("cancelled", "caller")
