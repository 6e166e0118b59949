"""The demo is right when every call has exactly the record it should have. Pure."""

from dataclasses import dataclass, replace

import pytest

from tests.lab.demo.scenario import CALLS, DemoCall
from tests.lab.demo.verdict import judge

BUSY = next(call for call in CALLS if call.disposition == "busy")
TALK = next(call for call in CALLS if call.disposition == "answered")


@dataclass(frozen=True)
class Record:
    call_id: str
    caller_received: str
    callee_received: str
    trunk: str
    disposition: str
    ended_by: str
    sip_code: int | None
    q850_cause: int | None
    talk_ms: int
    reason: str = ""
    integrity: str = "complete"


def right(call: DemoCall, call_id: str = "demo:1") -> Record:
    return Record(
        call_id=call_id,
        caller_received=call.user,
        callee_received=call.number,
        trunk=call.trunk,
        disposition=call.disposition,
        ended_by=call.ended_by,
        sip_code=call.sip_code,
        q850_cause=16,
        talk_ms=5_000 if call.disposition == "answered" else 0,
    )


def faults_of(call: DemoCall, *records: Record, heard: int | None = None) -> tuple[str, ...]:
    (judged,), extra = judge([call], records, {call: heard or call.heard})
    assert extra == []
    return judged.faults


def test_every_call_with_its_record_is_right():
    records = [right(call, f"demo:{number}") for number, call in enumerate(CALLS)]
    judged, extra = judge(CALLS, reversed(records), {call: call.heard for call in CALLS})
    assert [each.call for each in judged] == list(CALLS)
    assert [each.record for each in judged] == records
    assert [each.faults for each in judged] == [()] * len(CALLS)
    assert extra == []


def test_no_two_calls_of_the_demo_could_be_taken_for_one_another():
    assert len({(call.user, call.number) for call in CALLS}) == len(CALLS)


def test_a_missing_record_is_a_fault():
    assert faults_of(BUSY) == ("it has no record",)


def test_a_double_record_is_a_fault():
    faults = faults_of(BUSY, right(BUSY, "demo:1"), right(BUSY, "demo:2"))
    assert faults == ("it has 2 call records instead of one",)


def test_a_record_of_no_call_is_a_fault():
    (judged,), extra = judge([BUSY], [right(BUSY), right(TALK, "demo:9")], {BUSY: BUSY.heard})
    assert judged.faults == ()
    assert len(extra) == 1
    assert "demo:9" in extra[0]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"disposition": "congestion"}, "disposition is 'congestion' instead of 'busy'"),
        ({"ended_by": "caller"}, "ended_by is 'caller' instead of 'callee'"),
        ({"sip_code": 600}, "sip_code is 600 instead of 486"),
        ({"trunk": "carrier-b"}, "trunk is 'carrier-b' instead of 'carrier-a'"),
        ({"talk_ms": 1}, "its talk time is 1 ms"),
        ({"integrity": "recovered"}, "its record is recovered, so events were missed"),
    ],
)
def test_whatever_differs_in_a_record_is_named(change, fault):
    assert faults_of(BUSY, replace(right(BUSY), **change)) == (fault,)


def test_an_answered_call_without_talk_time_is_a_fault():
    assert faults_of(TALK, replace(right(TALK), talk_ms=0)) == ("its talk time is 0 ms",)


def test_a_caller_who_hears_something_else_is_a_fault():
    assert faults_of(BUSY, right(BUSY), heard=603) == ("the caller heard 603 instead of 486",)


def test_a_caller_who_hears_nothing_is_a_fault():
    (judged,), _ = judge([BUSY], [right(BUSY)], {})
    assert judged.faults == ("the caller heard no final code instead of 486",)
