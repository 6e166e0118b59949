"""Reproductions: phones that were called for orders when Redis lost its data."""

import pytest

from calls.engine.keepsake import Keepsake
from tests.engine.test_a_redis_that_forgets import forget, name_by_order
from tests.machine.world import A


@pytest.fixture(autouse=True)
def _ordered(monkeypatch):
    name_by_order(monkeypatch)


async def test_a_phone_that_declines_after_the_look_and_before_a_comparison_has_its_record(office):
    """The bridge is away, so nobody compares; three seconds after the loss the phone still rings,
    and declines a second later."""
    await office.order()
    office.world.ring(A)
    phones = office.phones
    await forget(office)
    await office.engine.keepsake.give_back(office.mailboxes)
    await phones.look_once()
    office.world.end(A, 21, 603)
    await office.tell()
    await phones.look_once()
    await office.settle()

    assert len(office.records) == 1


async def test_a_phone_that_rang_for_longer_than_a_minute_has_its_record(office):
    """An order may have its phone ring for 120 s; a worker remembers for 60."""
    now_s = 0.0
    office.engine.keepsake = Keepsake(lambda: now_s)
    await office.order(ring_timeout_s=120)
    office.world.ring(A)
    now_s = 70.0
    await forget(office)
    office.world.end(A, 21, 603)
    await office.tell()
    await office.engine.keepsake.give_back(office.mailboxes)
    await office.phones.look_once()
    await office.settle()

    assert len(office.records) == 1
