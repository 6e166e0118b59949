"""What a call record tells, and how it travels."""

from unittest.mock import patch

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr.errors import CdrError
from cdr.record import AttemptRecord, CallRecord, Disposition, Outcome
from tests.cdr.made_up import STARTED_MS, attempt, record


def document(**changes):
    return orjson.loads(record().to_json()) | changes


def test_a_record_comes_back_from_json_as_it_went():
    original = record(attempts=(attempt(outcome=Outcome.SKIPPED_DISABLED), attempt(number=2)))
    assert CallRecord.from_json(original.to_json()) == original


def test_absent_optional_fields_take_their_defaults():
    needed = ("call_id", "node", "started_ms", "ended_ms", "disposition", "ended_by")
    text = orjson.dumps({name: document()[name] for name in needed})
    back = CallRecord.from_json(text)
    assert (back.answered_ms, back.account, back.attempts) == (None, "", ())


def test_a_word_of_a_newer_version_is_kept():
    """Records go through processes of other versions while an upgrade is under way."""
    newer = document(
        disposition="fraud", attempts=[document()["attempts"][0] | {"outcome": "fraud"}]
    )
    back = CallRecord.from_json(orjson.dumps(newer))

    assert orjson.loads(back.to_json()) == newer
    assert (back.disposition, back.attempts[0].outcome.value) == ("fraud", "fraud")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (orjson.dumps(document(disposition="Fine!")), "disposition 'Fine!'"),
        (orjson.dumps(document(started_ms="now")), "started_ms"),
        (orjson.dumps(document(started_ms=None)), "started_ms"),
        (orjson.dumps(document(started_ms=True)), "started_ms"),
        (orjson.dumps(document(ended_ms=10**18)), "ended_ms"),
        (orjson.dumps(document(q850_cause=-1)), "q850_cause"),
        (orjson.dumps(document(caller_name=None)), "caller_name"),
        (orjson.dumps(document(call_id="")), "call_id"),
        (orjson.dumps(document(colour="red")), "no record has: 'colour'"),
        (orjson.dumps(document(attempts={})), "not a list"),
        (orjson.dumps(document(attempts=[1])), "attempt 1, is not a JSON object"),
        (orjson.dumps(document(attempts=[{"number": 1, "trunk": ""}])), "lacks the field"),
        (orjson.dumps(document(attempts=document()["attempts"] * 2)), "same number"),
        (orjson.dumps({"call_id": "pbx1:1"}), "'pbx1:1' lacks the field 'node'"),
    ],
)
def test_a_text_that_is_no_record_is_refused_with_a_sentence(text, complaint):
    with pytest.raises(CdrError, match=r"\.$") as refusal:
        CallRecord.from_json(text)
    assert complaint in str(refusal.value)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 1000),
    st.sampled_from([10**6, 10**9, 10**10, 253_402_300_799_000, 253_402_300_799_001, 2**63]),
    st.floats(),
    st.sampled_from(["", "answered", "fraud", "Fine!", "a\0b", "é", "x" * 300]),
    st.just([]),
    st.just({}),
)
NAMES = st.sampled_from([*CallRecord.__slots__, "colour"])


@given(
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.lists(st.dictionaries(st.sampled_from(AttemptRecord.__slots__), VALUES), max_size=2),
    st.sets(NAMES, max_size=2),
)
def test_the_quick_way_to_read_a_record_takes_what_the_careful_one_takes(
    changes, attempts, missing
):
    """The quick one is tried first, the careful one says what is wrong."""
    whole = document(attempts=[document()["attempts"][0] | each for each in attempts])
    text = orjson.dumps(
        {name: value for name, value in (whole | changes).items() if name not in missing}
    )
    try:
        careful: object = CallRecord._explained(text)
    except CdrError as error:
        careful = str(error)
    try:
        quick: object = CallRecord.from_json(text)
    except CdrError as error:
        quick = str(error)
    assert quick == careful


def test_the_usual_record_is_read_the_quick_way():
    with patch.object(CallRecord, "_explained", side_effect=AssertionError):
        CallRecord.from_json(record(attempts=(attempt(), attempt(number=2))).to_json())


def test_talk_lasts_from_the_answer_to_the_end():
    assert record().talk_ms == 10_100
    assert record().duration_ms == 12_600


def test_every_begun_second_of_talk_is_billed():
    assert record(ended_ms=STARTED_MS + 12_500).billsec == 10
    assert record(ended_ms=STARTED_MS + 12_501).billsec == 11


def test_a_call_never_answered_has_neither_talk_nor_billed_seconds():
    busy = record(answered_ms=None, disposition=Disposition.BUSY)
    assert (busy.talk_ms, busy.billsec) == (0, 0)


def test_ringing_ends_with_the_answer_or_with_the_call():
    assert record().ring_ms == 2_000
    assert record(answered_ms=None).ring_ms == 12_100
    assert record(ringing_ms=None).ring_ms is None


def test_post_dial_delay_ends_with_the_first_of_ringing_and_early_media():
    assert attempt().pdd_ms == 400
    assert attempt(progress_ms=STARTED_MS + 300).pdd_ms == 200
    assert attempt(ringing_ms=None).pdd_ms is None


def test_a_calls_post_dial_delay_is_that_of_the_attempt_that_was_heard():
    silent = attempt(ringing_ms=None, answered_ms=None)
    heard = attempt(number=2, started_ms=STARTED_MS + 450)
    assert record(attempts=(silent, heard)).pdd_ms == 50
    assert record(attempts=(silent,)).pdd_ms is None


@pytest.mark.parametrize(
    ("disposition", "failed"),
    [("answered", False), ("busy", False), ("cancelled", False), ("congestion", True)],
)
def test_a_call_failed_that_neither_an_answer_nor_a_person_explains(disposition, failed):
    assert record(disposition=Disposition(disposition)).failed is failed


def test_measures_of_audio_are_numbers_or_absent():
    heard = CallRecord.from_json(orjson.dumps(document(caller_mos=4, callee_mos=None)))
    assert (heard.caller_mos, heard.callee_mos) == (4.0, None)


@pytest.mark.parametrize("measure", [-0.1, True, "good", 1e10])
def test_what_is_no_measure_is_refused(measure):
    with pytest.raises(CdrError, match="caller_mos that is not a number"):
        CallRecord.from_json(orjson.dumps(document(caller_mos=measure)))


def test_clocks_that_step_back_give_no_negative_spans():
    back = record(ended_ms=STARTED_MS - 5)
    assert (back.duration_ms, back.talk_ms, back.ring_ms) == (0, 0, 2_000)
