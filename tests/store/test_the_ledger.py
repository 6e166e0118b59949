"""Calls begun = written + up + waiting + rejected + missing; whatever does not fit is listed."""

from datetime import date
from io import StringIO

import orjson
import pytest
from django.core.management import CommandError, call_command

from calls.store.ledger import ledger
from calls.store.mailbox import ATTEND
from cdr.found_ends import FoundEnds
from cdr.models import Cdr
from cdr.record import Disposition, Integrity
from cdr.stream import BEGUN_FIELD, BEGUN_STREAM, FIELD, STREAM
from cdr.writer import CdrWriter, store, store_begun
from tests.cdr.made_up import STARTED_MS, record

pytestmark = pytest.mark.django_db
DAY = date(2025, 10, 9)
CALLS = [f"pbx1:{number}" for number in range(1, 4)]


@pytest.fixture
def begun(clean_redis):
    """Three calls that began on the day, noted in the database."""
    store_begun((call, STARTED_MS) for call in CALLS)


def names(listed):
    return [each.call for each in listed]


def test_a_day_on_which_nothing_happened_is_green(clean_redis):
    found = ledger(DAY)

    assert (found.begun, found.written, found.is_green) == (0, 0, True)


def test_calls_that_all_have_their_records_balance(begun):
    store(record(call) for call in CALLS)
    found = ledger(DAY)

    assert (found.begun, found.written, found.missing_count) == (3, 3, 0)
    assert found.is_green


def test_a_record_that_is_gone_shows(begun):
    store(record(call) for call in CALLS)
    Cdr.objects.filter(call_id=CALLS[1]).delete()
    found = ledger(DAY)

    assert (found.begun, found.written, names(found.missing)) == (3, 2, [CALLS[1]])
    assert not found.is_green


def test_calls_on_their_way_are_counted_where_they_are(begun, clean_redis):
    store([record(CALLS[0])])
    clean_redis.zadd(ATTEND, {CALLS[1]: 1})
    clean_redis.xadd(STREAM, {FIELD: record(CALLS[2]).to_json()})
    found = ledger(DAY)

    assert (found.written, found.up, found.waiting, found.missing_count) == (1, 1, 1, 0)
    assert found.is_green


def test_a_note_that_waits_for_the_database_counts_and_once(begun, clean_redis):
    store(record(call) for call in (*CALLS, "pbx1:4"))
    for number, call in enumerate(("pbx1:4", CALLS[0])):
        clean_redis.xadd(BEGUN_STREAM, {BEGUN_FIELD: call}, id=f"{STARTED_MS}-{number + 1}")
    found = ledger(DAY)

    assert (found.begun, found.written, found.is_green) == (4, 4, True)


def test_a_call_whose_record_was_rejected_is_no_missing_one(begun, clean_redis, redis_url):
    bad = orjson.loads(record(CALLS[2]).to_json()) | {"disposition": "unheard of"}
    store(record(call) for call in CALLS[:2])
    clean_redis.xadd(STREAM, {FIELD: orjson.dumps(bad)})
    write(redis_url)
    found = ledger(DAY)

    assert (names(found.rejected), found.missing_count) == ([CALLS[2]], 0)
    assert [each.kind for each in found.aside] == ["record"]
    assert not found.is_green


def write(redis_url):
    found_ends = FoundEnds(wait_s=0)
    writer = CdrWriter(redis_url, "records@test", block_ms=10, found_ends=found_ends)
    writer.write_once()
    writer.close()


def test_a_second_record_that_says_otherwise_is_kept_as_a_double(begun, clean_redis, redis_url):
    store(record(call) for call in CALLS)
    clean_redis.xadd(STREAM, {FIELD: record(CALLS[0], disposition=Disposition.BUSY).to_json()})
    write(redis_url)
    found = ledger(DAY)

    assert [(each.call, each.kind) for each in found.doubles] == [(CALLS[0], "double")]
    assert (found.written, found.is_green) == (3, False)


def test_the_same_record_once_more_is_no_double(begun, clean_redis, redis_url):
    """A writer died between its commit and its acknowledgement."""
    store(record(call) for call in CALLS)
    for _ in range(2):
        clean_redis.xadd(STREAM, {FIELD: record(CALLS[0]).to_json()})
    write(redis_url)

    assert ledger(DAY).is_green


LATER = {"ended_ms": record(CALLS[0]).ended_ms + 900}
FORGOTTEN = {
    "answered_ms": None,
    "disposition": Disposition.CANCELLED,
    "ended_ms": STARTED_MS + 2_000,
}


def tell_again(clean_redis, redis_url, *records):
    for each in records:
        clean_redis.xadd(STREAM, {FIELD: each.to_json()})
    write(redis_url)


@pytest.mark.parametrize("said", [LATER, FORGOTTEN], ids=["gone later", "not answered"])
def test_a_call_heard_whole_that_is_found_to_have_ended_again_is_no_double(
    begun, clean_redis, redis_url, said
):
    """Redis went back to a time in which it was up."""
    store(record(call) for call in CALLS)
    again = record(CALLS[0], integrity=Integrity.RECOVERED, **said)
    tell_again(clean_redis, redis_url, again)
    found = ledger(DAY)

    assert found.is_green
    assert (found.written, found.aside, found.recovered_count) == (3, (), 0)
    assert clean_redis.xlen(STREAM) == 0


@pytest.mark.parametrize("whole_first", [True, False])
def test_of_two_that_come_together_the_one_that_was_heard_whole_is_written(
    begun, clean_redis, redis_url, whole_first
):
    store(record(call) for call in CALLS[1:])
    both = [record(CALLS[0]), record(CALLS[0], integrity=Integrity.RECOVERED, **LATER)]
    tell_again(clean_redis, redis_url, *(both if whole_first else reversed(both)))

    assert Cdr.objects.get(call_id=CALLS[0]).integrity == "complete"
    assert ledger(DAY).is_green


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, LATER),
        ({"integrity": Integrity.RECOVERED}, LATER | {"integrity": Integrity.RECOVERED}),
        ({"integrity": Integrity.RECOVERED}, LATER),
        (FORGOTTEN, {"integrity": Integrity.RECOVERED}),
        ({}, {"integrity": Integrity.RECOVERED, "account": "other"}),
        ({}, {"integrity": Integrity.RECOVERED, "started_ms": STARTED_MS + 1}),
        ({}, LATER | {"integrity": Integrity.RECOVERED, "callee_received": "0049302"}),
    ],
    ids=["both heard", "both found", "heard later", "a talk that nobody heard", "another account",
         "another beginning", "another callee"],
)  # fmt: skip
def test_a_second_record_that_nobody_can_explain_stays_a_double(
    begun, clean_redis, redis_url, first, second
):
    store([record(CALLS[0], **first), *(record(call) for call in CALLS[1:])])
    tell_again(clean_redis, redis_url, record(CALLS[0], **second))
    found = ledger(DAY)

    assert [each.call for each in found.doubles] == [CALLS[0]]
    assert not found.is_green


def test_two_records_of_a_call_in_one_batch_are_told_apart(begun, clean_redis, redis_url):
    for disposition in (Disposition.ANSWERED, Disposition.BUSY):
        clean_redis.xadd(STREAM, {FIELD: record(CALLS[0], disposition=disposition).to_json()})
    write(redis_url)

    assert Cdr.objects.get().disposition == "answered"
    assert len(ledger(DAY).doubles) == 1


def test_a_record_of_a_call_that_nobody_noted_shows(begun):
    later_ms = STARTED_MS + 120_000
    store([*(record(call) for call in CALLS), record("pbx1:9", started_ms=later_ms)])
    found = ledger(DAY)

    assert (names(found.unnoted), found.unnoted_count) == (["pbx1:9"], 1)
    assert not found.is_green


def test_records_of_a_time_before_begins_were_noted_are_no_fault(begun):
    store([*(record(call) for call in CALLS), record("pbx1:9", started_ms=STARTED_MS - 60_000)])

    assert ledger(DAY).is_green


def test_recovered_calls_are_listed_and_are_no_fault(begun):
    store(record(call, integrity=Integrity.RECOVERED) for call in CALLS)
    found = ledger(DAY)

    assert names(found.recovered) == CALLS
    assert found.is_green


def test_each_day_has_its_own_calls(begun):
    assert ledger(date(2025, 10, 8)).begun == ledger(date(2025, 10, 10)).begun == 0


# --- manage.py ledger -----------------------------------------------------------------------------


def run(**options):
    out = StringIO()
    try:
        call_command("ledger", stdout=out, **options)
    except CommandError as error:
        return out.getvalue() + f"error: {error}"
    return out.getvalue()


def test_the_command_says_that_all_is_well(begun):
    store(record(call) for call in CALLS)

    assert run(day=DAY).splitlines() == [
        "Calls begun on 2025-10-09 (UTC): 3",
        "  = 3 written + 0 up + 0 waiting for the database + 0 rejected + 0 missing",
        "Nothing is missing, double or rejected.",
    ]


def test_the_command_names_what_is_missing_and_fails(begun):
    store(record(call) for call in CALLS[:2])
    said = run(day=DAY)

    assert "missing: begun, not up, and without a record: pbx1:3 08:53:20" in said
    assert said.endswith("error: The ledger does not balance: see above.")


def test_without_a_day_it_is_today(clean_redis):
    assert "Calls begun on 2" in run()
