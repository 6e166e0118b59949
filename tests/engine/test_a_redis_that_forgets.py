"""Redis is emptied at every step of a call: before and after each thing that a worker does.

A comparison finds what Asterisk holds of the call, and the worker gives back what it has just
ended. However it went, the call ends, it has its record, and nothing is left.
"""

import pytest
from msgspec.structs import replace

from calls.engine import turn
from calls.engine.keepsake import KEPT_S, MOST, Keepsake
from calls.machine.session import Phase
from tests.engine.office import Office, Reaper
from tests.engine.test_a_worker_may_die_anywhere import STORIES
from tests.machine.world import CALL, World, plan, talking, target


@pytest.fixture(autouse=True)
def _no_linger(monkeypatch):
    monkeypatch.setattr(turn, "LINGER_S", (0.0, 0.0))


class Amnesia(Reaper):
    """Empties Redis at one step, and lets everybody live."""

    def __init__(self, client, at):
        super().__init__()
        self._client = client
        self._at = at
        self.emptied = False

    def step(self):
        self.steps += 1
        if self.steps == self._at:
            self._client.flushdb()
            self.emptied = True


class Forgetful(Office):
    """An office whose Redis is emptied once, which is noticed after the turn it happened in."""

    reaper: Amnesia

    async def attend(self):
        await super().attend()
        if self.reaper.emptied:
            self.reaper.emptied = False
            await recover(self)


def is_known(office: Office) -> bool:
    return bool(office.client.exists(f"ringmaster:call:{CALL}"))


async def recover(office: Office) -> None:
    """What follows when the mark has changed: the worker's part, then the listener's."""
    await office.engine.keepsake.give_back(office.mailboxes)
    # What was told meanwhile found no mailbox.
    await office.tell()
    world = office.world
    # A phone that rings has not entered the application, and no comparison asks what for.
    if not is_known(office) and (world.bridges or world.channels.keys() - world.unanswered):
        await office.post(office.world.as_found())
        await office.attend()


@pytest.mark.parametrize("listens", [True, False], ids=["heard", "unheard"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_the_call_has_its_record_wherever_redis_is_emptied(
    story, listens, mailboxes, clean_redis
):
    # An order that nobody has taken up yet stands in Redis alone.
    step, forgot = int(story.__name__.startswith("ordered")), True
    while forgot:
        step += 1
        clean_redis.flushdb()
        world = World(found=plan(target(), target("carrier-b")))
        office = Forgetful(mailboxes, clean_redis, world, Amnesia(clean_redis, step))
        office.gateway.listens = listens
        await story(office)
        forgot = office.reaper.steps >= step
        await office.settle()

        assert office.world.empty, (step, office.world.channels, office.world.bridges)
        assert {record.call_id for record in office.records} == {CALL}, step
        assert len(office.world.dialled) == len(set(office.world.dialled)), step

    assert step > 12, "a story has at least so many steps; was anything forgotten?"


# --- What a worker knows by heart ---


@pytest.fixture
def keepsake():
    return Keepsake(lambda: 1_000.0)


async def test_a_record_that_redis_lost_is_handed_over_again(office, keepsake):
    keepsake.finished(CALL, b'{"a": "record"}')
    await keepsake.give_back(office.mailboxes)

    assert office.is_over
    assert [values[b"cdr"] for _, values in office.client.xrange("ringmaster:cdrs")] == [
        b'{"a": "record"}'
    ]


async def test_a_call_that_was_ending_is_looked_at_again(office, keepsake):
    session = _ending(talking())
    keepsake.let_go(session)
    await keepsake.give_back(office.mailboxes)

    assert office.session == session
    assert await office.mailboxes.live() == [CALL]


def _ending(world):
    return replace(world.session, phase=Phase.ENDING)


async def test_a_call_that_goes_on_is_rebuilt_from_asterisk_and_not_from_memory(office, keepsake):
    keepsake.let_go(talking().session)
    await keepsake.give_back(office.mailboxes)

    assert not is_known(office)


async def test_what_redis_still_has_stays_as_it_is(office, keepsake):
    await office.begin()
    before = office.session
    keepsake.let_go(_ending(talking()))
    await keepsake.give_back(office.mailboxes)

    assert office.session == before


async def test_what_is_old_is_forgotten(office):
    now_s = 1_000.0
    keepsake = Keepsake(lambda: now_s)
    keepsake.finished("demo:1.1", b"{}")
    now_s += KEPT_S + 1
    keepsake.finished("demo:1.2", b"{}")
    await keepsake.give_back(office.mailboxes)

    assert office.client.xlen("ringmaster:cdrs") == 1


def test_what_is_kept_is_bounded(keepsake):
    for number in range(MOST + 10):
        keepsake.finished(f"demo:{number}.1", b"{}")

    assert len(keepsake._ends) == MOST
