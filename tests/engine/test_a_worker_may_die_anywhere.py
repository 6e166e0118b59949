"""kill -9 at every step of a call: before and after each call to Redis, Asterisk and the directory.

Whatever was in the worker's memory is lost; the next one has what Redis has. However it went,
nobody is dialled twice, the call ends, it has one record, and nothing is left.
"""

from collections.abc import Awaitable, Callable

import pytest

from calls.engine import turn
from calls.machine.events import HangupAsked
from tests.engine.office import Office
from tests.machine.world import A, World, b, plan, target


async def answered(office: Office) -> None:
    await office.begin()
    office.world.ring(b())
    office.world.answer(b())
    await office.tell()
    await office.attend()
    office.world.now_ms += 5_000
    office.world.end(A)
    await office.tell()
    await office.attend()


async def failed_over(office: Office) -> None:
    await office.begin()
    office.world.end(b(1), 34, 503)
    await office.tell()
    await office.attend()
    office.world.end(b(2), 17, 486)
    await office.tell()
    await office.attend()


async def cancelled(office: Office) -> None:
    await office.begin()
    office.world.ring(b())
    office.world.end(A, 127)
    await office.tell()
    await office.attend()


async def ended_by_a_person(office: Office) -> None:
    await office.begin()
    await office.post(HangupAsked(office.world.now_ms, "root"))
    await office.attend()


async def ordered_and_answered(office: Office) -> None:
    await office.order()
    office.world.ring(A)
    office.world.pick_up()
    await office.tell()
    await office.attend()
    office.world.ring(b())
    office.world.answer(b())
    await office.tell()
    await office.attend()
    office.world.now_ms += 5_000
    office.world.end(A)
    await office.tell()
    await office.attend()


async def ordered_and_the_phone_busy(office: Office) -> None:
    await office.order()
    office.world.end(A, 17, 486)
    await office.tell()
    await office.attend()


async def ordered_without_a_phone(office: Office) -> None:
    await office.order(phone="", trunk="carrier-a")
    await office.tell()
    await office.attend()
    office.world.answer(b())
    await office.tell()
    await office.attend()
    office.world.end(b())
    await office.tell()
    await office.attend()


STORIES = {
    # A worker that dies while it dials cannot know whether B was dialled; the next one goes on to
    # the next trunk, of whose ends the story knows nothing.
    answered: {"answered", "cancelled"},
    failed_over: {"busy", "congestion", "no_answer", "timeout"},
    cancelled: {"cancelled"},
    ended_by_a_person: {"cancelled"},
    # Nor whether the phone was called: then nobody is, and the record says so.
    ordered_and_answered: {"answered", "cancelled", "congestion"},
    ordered_and_the_phone_busy: {"busy", "congestion"},
    ordered_without_a_phone: {"answered", "cancelled", "timeout"},
}
Story = Callable[[Office], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_linger(monkeypatch):
    monkeypatch.setattr(turn, "LINGER_S", (0.0, 0.0))


async def tell(story: Story, office: Office, *lives: int) -> bool:
    """The story with workers that live for so many steps; False if the last of them lived on."""
    office.reaper.lives = list(lives)
    await story(office)
    await office.settle()
    record = office.assert_ended_clean()
    assert record.disposition in STORIES[story], (lives, record)
    return not office.reaper.lives


def new_office(make_office: Callable[[World], Office]) -> Office:
    return make_office(World(found=plan(target(), target("carrier-b"))))


@pytest.mark.parametrize("listens", [True, False], ids=["heard", "unheard"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_the_call_ends_clean_wherever_the_worker_dies(story, listens, make_office):
    """Also where Asterisk's word of what the worker did comes only after the next one's turn."""
    step, went_on = 0, True
    while went_on:
        step += 1
        office = new_office(make_office)
        office.gateway.listens = listens
        went_on = await tell(story, office, step)

    assert step > 12, "a story has at least so many steps; was anything killed?"


async def test_the_call_ends_clean_where_the_next_worker_dies_too(make_office):
    step, went_on = 0, True
    while went_on:
        step += 1
        for second in range(1, 9):
            went_on = await tell(failed_over, new_office(make_office), step, second)

    assert step > 15
