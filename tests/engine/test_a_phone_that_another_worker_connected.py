"""An ordered call that another worker went on with, and that has been over for over a minute."""

import pytest

from calls.engine.keepsake import Keepsake
from calls.machine.session import Phase
from tests.engine.office import phase_of
from tests.engine.test_a_redis_that_forgets import forget, name_by_order
from tests.machine.world import A, b


@pytest.fixture(autouse=True)
def _ordered(monkeypatch):
    name_by_order(monkeypatch)


async def test_a_call_that_is_over_for_a_minute_gets_no_second_record_that_differs(office):
    """Redis is emptied, a single fault: the worker that called the phone knows of no end."""
    now_s = 0.0
    first = office.engine
    first.keepsake = Keepsake(lambda: now_s)
    await office.order()
    # Another worker goes on with the call to its end.
    office.engine = office.hire()
    office.engine.keepsake = Keepsake(lambda: now_s)
    second = office.engine
    office.world.pick_up()
    await office.tell()
    await office.attend()
    office.world.ring(b())
    office.world.answer(b())
    await office.tell()
    await office.attend()
    assert phase_of(office) is Phase.TALKING
    now_s = 20.0
    office.world.end(A)
    await office.settle()
    (record,) = office.records
    assert record.disposition == "answered"

    now_s = 100.0
    await forget(office)
    await second.keepsake.give_back(office.mailboxes)
    await first.keepsake.give_back(office.mailboxes)
    await office.phones_of(second).look_once()
    await office.phones_of(first).look_once()
    if office.session is not None:
        await office.settle()

    told = [(r.call_id, r.disposition, r.talk_ms) for r in office.records]
    assert set(told) <= {(record.call_id, record.disposition, record.talk_ms)}
