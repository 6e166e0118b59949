"""What was set aside is retried or dropped by a person, and never lost otherwise."""

import pytest

from calls.machine.beginning import begin
from calls.machine.events import HangupAsked, encode
from calls.machine.session import to_json
from calls.store import rejected
from calls.store.mailbox import ATTEND, call_key, mail_key
from calls.store.set_aside import Kind, drop, entries, retry
from cdr.stream import DOUBLE, FIELD, REJECTED_STREAM, STREAM
from tests.cdr.made_up import record
from tests.machine.world import CALL, entered

ASKED = encode(HangupAsked(5, "root"))
SESSION = to_json(begin(CALL, entered()))


@pytest.fixture
def aside(clean_redis):
    def aside(kind, data, call=CALL):
        if kind in ("record", "double"):
            values = {FIELD: data, "reason": "it is none", "kind": DOUBLE * (kind == "double")}
            clean_redis.xadd(REJECTED_STREAM, values)
        else:
            values = {"call": call, "kind": kind, "reason": "it is none", "data": data}
            clean_redis.xadd(rejected.STREAM, values)
        return [each.key for each in entries(clean_redis)]

    return aside


def test_entries_of_every_kind_are_shown_oldest_first(aside, clean_redis):
    aside("record", record("pbx1:1").to_json())
    aside("event", b"rubbish")
    aside("double", b"{not json")

    found = entries(clean_redis)
    assert {(each.kind, each.call, each.reason) for each in found} == {
        (Kind.RECORD, "pbx1:1", "it is none"),
        (Kind.EVENT, CALL, "it is none"),
        (Kind.DOUBLE, "", "it is none"),
    }
    assert [each.at_ms for each in found] == sorted(each.at_ms for each in found)


def test_a_record_is_handed_to_the_writer_again(aside, clean_redis):
    text = record("pbx1:1").to_json()

    assert retry(aside("record", text)).done == 1
    assert [values[FIELD.encode()] for _, values in clean_redis.xrange(STREAM)] == [text]
    assert entries(clean_redis) == []


def test_a_double_cannot_be_written_and_stays(aside, clean_redis):
    settled = retry(aside("double", record("pbx1:1").to_json()))

    assert settled.left == ("Call pbx1:1 has its record; a second one cannot be written.",)
    assert len(entries(clean_redis)) == 1


def test_an_event_goes_back_to_a_call_that_lives_and_is_looked_at(aside, clean_redis):
    clean_redis.hset(call_key(CALL), "session", SESSION)
    clean_redis.zadd(ATTEND, {CALL: 9e12})

    assert retry(aside("event", ASKED)).done == 1
    assert clean_redis.lrange(mail_key(CALL), 0, -1) == [ASKED]
    assert clean_redis.zscore(ATTEND, CALL) == 0
    assert entries(clean_redis) == []


@pytest.mark.parametrize("over", [True, False])
def test_an_event_of_a_call_that_is_over_stays_aside(aside, clean_redis, over):
    if over:
        clean_redis.hset(call_key(CALL), "over", 1)
    settled = retry(aside("event", ASKED))

    assert settled.done == 0
    assert f"Call {CALL} is over" in settled.left[0]
    assert len(entries(clean_redis)) == 1


def test_a_session_goes_back_where_there_is_none(aside, clean_redis):
    assert retry(aside("session", SESSION)).done == 1
    assert clean_redis.hget(call_key(CALL), "session") == SESSION


def test_a_session_goes_back_into_no_place_that_is_taken(aside, clean_redis):
    clean_redis.hset(call_key(CALL), "session", b"another")

    assert retry(aside("session", SESSION)).done == 0
    assert clean_redis.hget(call_key(CALL), "session") == b"another"


@pytest.mark.parametrize("kind", ["record", "double", "event", "session"])
def test_what_is_dropped_stands_in_the_log_whole(aside, clean_redis, caplog, kind):
    assert drop(aside(kind, b"all of it")).done == 1
    assert entries(clean_redis) == []
    assert "b'all of it'" in caplog.text


@pytest.mark.parametrize("key", ["", "record", "record -", "other +", "record 1-1", "x 1-1", "\0"])
@pytest.mark.parametrize("settle", [retry, drop])
def test_what_names_no_entry_settles_nothing(aside, clean_redis, key, settle):
    aside("record", b"x")
    aside("event", b"y")

    assert settle([key]).done == 0
    assert len(entries(clean_redis)) == 2
