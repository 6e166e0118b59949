"""Nudges, events and workers may come twice; what they do happens once."""

import asyncio

import pytest

from calls.errors import LockLost
from calls.machine.events import ChannelAnswered, ChannelLeft, Doubted, HangupAsked
from calls.machine.session import Phase
from tests.engine.office import phase_of
from tests.machine.world import CALL, A, b, entered

HASH = f"ringmaster:call:{CALL}"
MAIL = f"ringmaster:mail:{CALL}"


async def to_the_talk(office):
    await office.begin()
    office.world.answer(b())
    await office.tell()
    await office.attend()


async def to_the_end(office):
    await to_the_talk(office)
    office.world.end(A)
    await office.tell()
    await office.attend()


async def test_a_nudge_that_comes_twice(office):
    await office.post(entered())
    for _ in range(3):
        await office.attend()
    done = list(office.world.done)
    await office.attend()

    assert office.world.done == done
    assert office.world.dialled == [b()]


async def test_every_event_comes_twice(office):
    await office.post(entered(), entered())
    await office.attend()
    office.world.answer(b())
    office.world.told *= 2
    await office.tell()
    await office.attend()
    office.world.end(A)
    office.world.told *= 2
    await office.tell()
    await office.attend()

    record = office.assert_ended_clean()
    assert record.disposition == "answered"


async def test_two_workers_at_once(office):
    """Both are told; one has the lock, the other goes away without having done anything."""
    other = office.hire()
    for happens in (
        lambda: None,
        lambda: office.world.answer(b()),
        lambda: office.world.end(A),
    ):
        if office.session is None:
            await office.post(entered())
        happens()
        await office.tell()
        await asyncio.gather(office.engine.attend(CALL), other.attend(CALL))

    record = office.assert_ended_clean()
    assert record.disposition == "answered"
    assert len(office.directory.versions) == 1


async def test_a_worker_that_is_slower_than_its_lock_changes_nothing_any_more(office, caplog):
    """The lock goes to another in the middle of the turn, before the dial."""

    async def rob(command: object) -> None:
        office.client.hset(HASH, mapping={"token": "another", "until": 2**52})
        seen.append(office.client.hget(HASH, "session"))

    seen: list[bytes] = []
    office.gateway.before = rob
    await office.begin()

    assert office.world.dialled == []
    assert phase_of(office) is Phase.SETUP
    assert office.client.hget(HASH, "session") == seen[-1]
    assert office.client.hget(HASH, "token") == b"another"
    assert "its lock lapsed" in caplog.text


@pytest.mark.parametrize("step", ["save", "let_go", "finish", "set_aside", "failed"])
async def test_without_the_token_nothing_can_be_saved(office, step):
    await office.begin()
    await office.post(HangupAsked(2_000, "root"))
    before = everything(office)
    mailboxes = office.mailboxes
    arguments = {
        "save": (office.session, "not mine", 1),
        "let_go": (office.session, "not mine", 1, 0),
        "finish": (CALL, "not mine", b"{}"),
        "set_aside": (CALL, "not mine", [(office.client.lrange(MAIL, 0, 0)[0], "why")], "why"),
        "failed": (CALL, "not mine", 0, 1, 0),
    }[step]

    with pytest.raises(LockLost, match="its lock lapsed"):
        await getattr(mailboxes, step)(*arguments)

    assert everything(office) == before


def everything(office):
    return {key: office.client.dump(key) for key in office.client.scan_iter()}


@pytest.mark.parametrize(
    "late",
    [ChannelLeft(A, 9), ChannelAnswered(b(), 9), HangupAsked(9, "root"), Doubted(9), entered(9)],
    ids=lambda event: event.tag,
)
async def test_what_comes_after_the_end_is_dropped(office, late):
    await to_the_end(office)

    assert await office.post(late) == []
    await office.attend()
    office.assert_ended_clean()


async def test_a_second_stasis_start_starts_nothing(office):
    await to_the_talk(office)
    done = len(office.world.done)
    await office.post(entered(9_000, dialled="h"))
    await office.attend()

    assert phase_of(office) is Phase.TALKING
    assert len(office.world.done) == done


async def test_an_event_of_a_call_that_never_began_opens_no_mailbox(office):
    assert await office.post(ChannelLeft(A, 1)) == []
    assert office.client.keys() == []
