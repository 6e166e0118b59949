"""Redis is emptied at every step of a call: before and after each thing that a worker does.

A comparison finds what Asterisk holds of the call, and the worker gives back what it has just
ended. However it went, the call ends, it has its record, and nothing is left.
"""

from unittest.mock import DEFAULT, Mock

import pytest
import redis
from msgspec.structs import replace

from calls import ids
from calls.engine import turn
from calls.engine.keepsake import KEPT_S, MOST, Keepsake
from calls.engine.phones import Phones
from calls.machine.session import Phase
from cdr.stream import BEGUN_STREAM
from tests.engine.office import Killed, Office, Reaper
from tests.engine.test_a_worker_may_die_anywhere import STORIES
from tests.machine.world import CALL, A, World, b, plan, talking, target


@pytest.fixture(autouse=True)
def _no_linger(monkeypatch):
    monkeypatch.setattr(turn, "LINGER_S", (0.0, 0.0))


class Amnesia(Reaper):
    """Empties Redis at one step. The worker lives on, unless it ``kills`` it in that moment."""

    def __init__(self, client, at, *, kills=False):
        super().__init__()
        self._client = client
        self._at = at
        self.kills = kills
        self.emptied = False

    def step(self):
        self.steps += 1
        if self.steps == self._at:
            self._client.flushdb()
            self.emptied = True
            if self.kills:
                raise Killed

    def next_life(self):
        """The steps are counted on: there is one moment in which everything is lost."""


class Forgetful(Office):
    """An office whose Redis is emptied once, which is noticed after the turn it happened in."""

    reaper: Amnesia
    nothing_left = False
    """Whether Asterisk held nothing of the call any more when a worker was killed with Redis."""

    async def attend(self):
        await super().attend()
        if self.reaper.emptied:
            self.reaper.emptied = False
            self.nothing_left = self.reaper.kills and self.world.empty
            await recover(self)

    @property
    def is_over(self):
        return self.nothing_left or super().is_over


def noted(client) -> set[str]:
    """The calls of whose begin the ledger hears."""
    return {values[b"call"].decode() for _, values in client.xrange(BEGUN_STREAM)}


def is_known(office: Office) -> bool:
    return bool(office.client.exists(f"ringmaster:call:{CALL}"))


async def recover(office: Office) -> None:
    """What follows when the mark has changed: the worker's part, then the listener's, then what
    only the worker can still know of."""
    await office.engine.keepsake.give_back(office.mailboxes)
    # What was told meanwhile found no mailbox.
    await office.tell()
    await compare(office)
    await office.phones.look_once()
    await office.attend()


async def compare(office: Office) -> None:
    """What the listener does: it has a call of which nothing is known begun from what is there."""
    if not is_known(office) and not office.world.empty:
        await office.post(office.world.as_found())
        await office.attend()


def name_by_order(monkeypatch):
    """A's channel is one that an order has named."""
    monkeypatch.setattr(ids, "is_ordered", lambda channel: channel == A)


@pytest.mark.parametrize(
    ("listens", "kills"),
    [(True, False), (False, False), (True, True)],
    ids=["heard", "unheard", "the worker dies too"],
)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_the_call_has_its_record_wherever_redis_is_emptied(
    story, listens, kills, mailboxes, clean_redis, monkeypatch
):
    """Also where the worker dies in the same moment, unless nothing of the call was left but in
    its memory."""
    # An order that nobody has taken up yet stands in Redis alone.
    step, forgot = 0, True
    if story.__name__.startswith("ordered"):
        name_by_order(monkeypatch)
        step = 1
    while forgot:
        step += 1
        clean_redis.flushdb()
        world = World(found=plan(target(), target("carrier-b")))
        office = Forgetful(mailboxes, clean_redis, world, Amnesia(clean_redis, step, kills=kills))
        office.gateway.listens = listens
        await story(office)
        forgot = office.reaper.steps >= step
        await office.settle()

        assert office.world.empty, (step, office.world.channels, office.world.bridges)
        assert {record.call_id for record in office.records} | {CALL} == {CALL}, step
        assert office.records or office.nothing_left, step
        assert not office.records or CALL in noted(clean_redis), step
        # A caller who waits, with nothing left to tell what was tried, is routed from the first.
        dialled = [each for each in office.world.dialled if not kills or each == A]
        assert len(dialled) == len(set(dialled)), step

    assert step > 12, "a story has at least so many steps; was anything forgotten?"


# --- A phone that rings for an order ---


@pytest.fixture
def _ordered(monkeypatch):
    name_by_order(monkeypatch)


async def forget(office: Office, *, die: bool = False) -> None:
    """Redis is emptied between two turns; the worker may die with it."""
    office.client.flushdb()
    office.world.told.clear()
    if die:
        office.engine = office.hire()


@pytest.mark.usefixtures("_ordered")
@pytest.mark.parametrize("die", [False, True], ids=["the worker lives", "the worker dies"])
async def test_a_phone_that_rings_is_connected_to_whom_the_order_named(office, die):
    await office.order()
    office.world.ring(A)
    await forget(office, die=die)
    await recover(office)
    office.world.pick_up()
    await office.tell()
    await office.attend()
    office.world.answer(b())
    await office.tell()
    await office.attend()
    office.world.end(b())
    await office.settle()

    (record,) = office.records
    assert (record.disposition, record.ended_by) == ("answered", "callee")
    assert record.callee_received == "33123"
    assert record.reason == "placed by token crm"
    assert record.integrity == "recovered"
    assert office.world.dialled == [A, b()]
    assert office.world.empty


@pytest.mark.usefixtures("_ordered")
async def test_a_phone_that_is_answered_before_anybody_notices_is_connected(office):
    """Its entering finds no call, and what it is for is read from its channel in a moment."""
    await office.order()
    office.world.ring(A)
    await forget(office, die=True)
    office.world.pick_up()
    await office.tell()
    await office.attend()
    assert not office.mail
    assert not office.begun
    await compare(office)

    assert office.session.phase is Phase.DIALLING
    assert office.world.dialled == [A, b()]


@pytest.mark.usefixtures("_ordered")
async def test_a_phone_that_declines_before_anybody_notices_has_its_record(office):
    """There is nothing left of it in Asterisk, but whoever called it remembers."""
    await office.order()
    office.world.ring(A)
    await forget(office)
    office.world.end(A, 21, 603)
    await office.tell()
    await recover(office)
    await office.settle()

    (record,) = office.records
    assert (record.ended_by, record.integrity) == ("unknown", "recovered")
    assert record.reason == (
        "phone alice could not be reached, so nobody was called; placed by token crm"
    )


@pytest.mark.usefixtures("_ordered")
async def test_what_a_worker_knows_of_the_ringing_takes_nobody_out_of_a_talk(office):
    """Another worker has gone on with the call: its second trunk was answered."""
    office.world.found = plan(target(), target("carrier-b"))
    await office.order()
    first = office.engine
    office.engine = office.hire()
    office.world.ring(A)
    office.world.pick_up()
    await office.tell()
    await office.attend()
    office.world.end(b(1), 34, 503)
    await office.tell()
    await office.attend()
    office.world.answer(b(2))
    await office.tell()
    await office.attend()
    await forget(office)
    await first.keepsake.give_back(office.mailboxes)
    await office.phones_of(first).look_once()
    await compare(office)

    assert office.session.phase is Phase.TALKING
    assert office.world.dialled == [A, b(1), b(2)]
    office.world.end(A)
    await office.settle()
    (record,) = office.records
    assert (record.disposition, record.trunk) == ("answered", "carrier-b")


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


async def test_phones_that_redis_did_not_take_back_are_looked_at_again(office, keepsake):
    """Redis fails once more while it is given them: none is given up for that."""
    office.world.channels.clear()
    calls = [f"demo:{number}.1" for number in range(3)]
    for call in calls:
        keepsake.let_go(replace(talking().session, call_id=call, phase=Phase.CALLING))
    failing = Mock(wraps=office.mailboxes)
    failing.restore.side_effect = [redis.exceptions.ConnectionError, DEFAULT, DEFAULT, DEFAULT]
    phones = Phones(keepsake, failing, office.gateway)

    with pytest.raises(redis.exceptions.ConnectionError):
        await phones.look_once()
    await phones.look_once()

    assert sorted(await office.mailboxes.live()) == calls


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
