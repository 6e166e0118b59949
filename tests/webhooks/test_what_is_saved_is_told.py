"""News of calls go out with the save that they are news of: none is lost, none is told unsaved."""

import orjson
import pytest

from calls.engine import turn
from calls.store.outbox import OUTBOX, Message, waiting
from tests.engine.conftest import mailboxes, make_office
from tests.engine.test_a_worker_may_die_anywhere import STORIES, answered, cancelled
from tests.machine.world import CALL, World, plan, target

__all__ = ["mailboxes", "make_office"]
pytestmark = pytest.mark.usefixtures("no_linger")
STEPS = 40
"""More than any of these stories takes."""


@pytest.fixture
def no_linger(monkeypatch):
    monkeypatch.setattr(turn, "LINGER_S", (0.0, 0.0))


def world():
    return World(found=plan(target("carrier-a"), target("carrier-b")))


def told(client):
    return [message for _, message in waiting(client, 100)]


async def test_a_call_tells_that_it_has_begun_and_was_answered(make_office, wanted, clean_redis):
    wanted("call.begun", "call.answered")
    office = make_office(world())
    await answered(office)
    await office.settle()
    begun, answer = told(clean_redis)
    assert [begun.event, answer.event] == ["call.begun", "call.answered"]
    assert begun.data["call_id"] == answer.data["call_id"] == CALL
    assert (begun.data["account"], begun.data["callee_received"]) == ("acme", "33123")
    assert answer.data["trunk"] == "carrier-a"
    assert answer.for_accounts == {
        name: value for name, value in answer.data.items() if name != "trunk"
    }


async def test_without_a_webhook_nothing_is_written(make_office, wanted, clean_redis):
    office = make_office(world())
    await answered(office)
    await office.settle()
    assert not clean_redis.exists(OUTBOX)
    office.assert_ended_clean()


async def test_a_call_that_nobody_answers_tells_only_that_it_has_begun(
    make_office, wanted, clean_redis
):
    wanted("call.begun", "call.answered")
    office = make_office(world())
    await cancelled(office)
    await office.settle()
    assert [each.event for each in told(clean_redis)] == ["call.begun"]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_a_worker_may_die_anywhere_and_each_news_is_told(
    story, make_office, wanted, clean_redis
):
    wanted("call.begun", "call.answered")
    for life in range(1, STEPS):
        office = make_office(world())
        office.reaper.lives = [life]
        await story(office)
        await office.settle()
        (record,) = office.records
        events = [message.event for message in told(clean_redis)]
        expected = ["call.begun"] + ["call.answered"] * (record.answered_ms is not None)
        assert events == expected, f"killed at step {life}"


def test_the_id_of_a_message_is_the_same_however_often_it_is_told(clean_redis):
    first, other = (Message("call.begun", key, None, {}) for key in ("pbx1:1.1", "pbx1:1.2"))
    assert first.message_id == Message("call.begun", "pbx1:1.1", None, {"x": 1}).message_id
    third = Message("call.ended", "pbx1:1.1", None, {})
    ids = {each.message_id for each in (first, other, third)}
    assert len(ids) == 3
    assert all("." not in each and len(each) < 41 for each in ids)


def test_what_cannot_be_read_hides_nothing_behind_it(clean_redis):
    clean_redis.xadd(OUTBOX, {"call.begun": b"no JSON"})
    good = orjson.dumps({"key": "a", "at_ms": 1, "data": {}})
    clean_redis.xadd(OUTBOX, {"call.begun": good})
    (_, bad), (_, read) = waiting(clean_redis, 10)
    assert (bad, read.key) == (None, "a")
