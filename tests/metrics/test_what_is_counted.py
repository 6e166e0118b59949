"""What happens to calls is counted, by the engine as it attends to them, on a real Redis."""

import pytest

from calls import metrics
from calls.routing.choice import Refusal
from cdr.record import Disposition, Integrity, Outcome
from tests.cdr.made_up import attempt, record
from tests.engine.conftest import mailboxes, make_office, office
from tests.machine.world import CALL, A, World, b, plan, target
from tests.metrics.readings import Readings

__all__ = ["mailboxes", "make_office", "office"]


async def test_an_answered_call(office):
    readings = Readings()
    await office.begin()
    office.world.ring(b())
    office.world.answer(b())
    await office.tell()
    await office.attend()
    assert readings.grown("ringmaster_calls_answered_total") == 1
    assert readings.grown("ringmaster_calls_ended_total") == 0
    office.world.now_ms += 10_000
    office.world.end(A)
    await office.tell()
    await office.attend()

    office.assert_ended_clean()
    assert readings.grown("ringmaster_calls_begun_total", node=CALL.partition(":")[0]) == 1
    assert readings.grown("ringmaster_calls_ended_total", disposition="answered") == 1
    assert readings.grown("ringmaster_call_talk_time_seconds_count") == 1
    assert 10 < readings.grown("ringmaster_call_talk_time_seconds_sum") < 11
    assert readings.grown("ringmaster_call_pdd_seconds_count", trunk="carrier-a") == 1
    assert readings.grown("ringmaster_attempts_total", trunk="carrier-a", result="answered") == 1
    assert readings.grown("ringmaster_turn_seconds_count") == 3


async def test_a_hunt_with_its_cause(make_office):
    office = make_office(World(found=plan(target(), target("carrier-b"))))
    readings = Readings()
    await office.begin()
    office.world.end(b(1), 34, 503)
    await office.tell()
    await office.attend()
    office.world.end(b(2), 17, 486)
    await office.tell()
    await office.attend()

    office.assert_ended_clean()
    assert readings.grown("ringmaster_hunts_total") == 1
    assert readings.grown("ringmaster_hunts_total", cause="34") == 1
    assert readings.grown("ringmaster_attempt_sip_responses_total", trunk="carrier-b") == 1
    assert readings.grown("ringmaster_attempt_sip_responses_total", code="503") == 1
    assert readings.grown("ringmaster_calls_ended_total", disposition="busy") == 1


async def test_a_refused_call_is_of_no_account(make_office):
    office = make_office(World(found=Refusal(Disposition.NO_ROUTE, 1, "no route")))
    readings = Readings()
    await office.begin()

    office.assert_ended_clean()
    ended = {"disposition": "no_route", "account": "none"}
    assert readings.grown("ringmaster_calls_ended_total", **ended) == 1


async def test_a_nudge_for_nothing(office):
    readings = Readings()
    await office.attend()
    assert readings.grown("ringmaster_turns_for_nothing_total") == 1
    assert readings.grown("ringmaster_turn_seconds_count") == 0


def test_skipped_and_failed_attempts_and_what_was_recovered():
    readings = Readings()
    skipped = attempt(
        outcome=Outcome.SKIPPED_DOWN, channel_id="", answered_ms=None, ringing_ms=None
    )
    failed = attempt(outcome=Outcome.FAILED, number=2, q850_cause=34, answered_ms=None)
    metrics.over(
        record(integrity=Integrity.RECOVERED, attempts=(skipped, failed, attempt(number=3)))
    )
    assert readings.grown("ringmaster_calls_recovered_total") == 1
    assert readings.grown("ringmaster_attempts_total", result="skipped_down") == 1
    assert readings.grown("ringmaster_attempts_total", result="failed") == 1
    assert readings.grown("ringmaster_hunts_total", cause="34") == 1, "a skip is no hunt"


@pytest.mark.parametrize(("code", "told"), [(None, "none"), (99, "other"), (999, "other")])
def test_a_code_that_is_no_final_sip_code_makes_no_series_of_its_own(code, told):
    readings = Readings()
    metrics.over(record(attempts=(attempt(sip_code=code),)))
    assert readings.grown("ringmaster_attempt_sip_responses_total", code=told) == 1


def test_no_more_names_than_there_is_room_for():
    known = metrics.Known(most=2)
    known.expect(["a", "b", "c"])
    assert [known(name) for name in ("a", "b", "c", "d", "", "a")] == [
        "a",
        "b",
        "other",
        "other",
        "none",
        "a",
    ]


def test_a_hung_node_and_its_return():
    readings = Readings()
    metrics.node_answers("pbx9", False)
    assert readings.grown("ringmaster_node_breaker_open", node="pbx9") == 1
    metrics.node_answers("pbx9", True)
    assert readings.grown("ringmaster_node_breaker_open", node="pbx9") == 0
    assert readings.grown("ringmaster_node_breaker_trips_total", node="pbx9") == 1
