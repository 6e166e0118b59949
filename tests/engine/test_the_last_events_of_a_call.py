"""A call that is ending: its last events come within milliseconds of its last command, and are
waited for with the lock in hand."""

import pytest

from calls.engine import turn
from calls.machine.session import Phase
from tests.engine.office import Office, phase_of
from tests.engine.test_nothing_happens_twice import to_the_talk
from tests.machine.world import CALL, A

HASH = f"ringmaster:call:{CALL}"


@pytest.fixture(autouse=True)
def _no_time(monkeypatch):
    monkeypatch.setattr(turn, "LINGER_S", (0.0, 0.0))


@pytest.fixture
def saves(office, monkeypatch) -> list[str]:
    """The scripts that save, as they are called."""
    called: list[str] = []
    for name in ("save", "let_go", "finish"):
        method = getattr(office.mailboxes, name)

        async def noted(*args, name=name, method=method, **options):
            called.append(name)
            return await method(*args, **options)

        monkeypatch.setattr(office.mailboxes, name, noted)
    return called


async def hang_up(office: Office) -> None:
    office.world.end(A)
    await office.tell()
    await office.attend()


async def test_a_call_whose_last_events_come_in_time_is_saved_as_over_and_not_before(office, saves):
    await to_the_talk(office)
    saves.clear()
    await hang_up(office)

    assert saves == ["finish"]
    office.assert_ended_clean()


async def test_a_call_whose_last_events_are_late_is_let_go(office, saves):
    await to_the_talk(office)
    saves.clear()
    office.gateway.listens = False
    await hang_up(office)
    assert saves == ["let_go"]
    assert phase_of(office) is Phase.ENDING
    assert office.client.hkeys(HASH) == [b"session"]

    office.gateway.listens = True
    await office.settle()
    office.assert_ended_clean()


async def test_whoever_lost_the_lock_while_it_waited_ends_nothing(office, saves, monkeypatch):
    """Another worker has it by then, and ends the call."""
    came = office.mailboxes.came

    async def taken_over_first(*args):
        office.client.hset(HASH, "token", "another's")
        return await came(*args)

    await to_the_talk(office)
    monkeypatch.setattr(office.mailboxes, "came", taken_over_first)
    await hang_up(office)
    assert office.records == []

    monkeypatch.setattr(office.mailboxes, "came", came)
    office.expire_lock()
    await office.attend()
    office.assert_ended_clean()


async def test_events_that_do_not_end_it_yet_are_heard_and_the_rest_is_waited_for(
    office, saves, monkeypatch
):
    """A leg that Asterisk tells of in two parts."""
    parts: list[int] = []
    came = office.mailboxes.came

    async def one_at_a_time(*args):
        found = await came(*args)
        parts.append(len(found))
        return found[:1]

    await to_the_talk(office)
    saves.clear()
    monkeypatch.setattr(office.mailboxes, "came", one_at_a_time)
    await hang_up(office)

    assert len(parts) == 2
    assert saves.count("finish") == 1
    office.assert_ended_clean()
