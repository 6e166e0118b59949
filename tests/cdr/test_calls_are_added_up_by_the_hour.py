"""The hourly sums are what the records say, however often and by whomever they are added up."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdr import rollup
from cdr.models import Cdr, HourDue, HourlyCalls
from cdr.rates import BINS, Sums, percentile, sums_of
from cdr.record import Disposition, Outcome
from cdr.sums import BIN_COLUMNS, by_key, causes_by_key, of_key
from cdr.writer import store
from tests.cdr.made_up import STARTED_MS, attempt, record
from tests.lab.traffic import calls

HOUR = rollup.hour_of(datetime.fromtimestamp(STARTED_MS / 1000, UTC))
QUIET = {"ringing_ms": None, "answered_ms": None, "progress_ms": None}


def unanswered(number, disposition, cause, sip, **changes):
    """A call to carrier-a that rang for nobody."""
    tried = attempt(q850_cause=cause, sip_code=sip, **(QUIET | changes))
    facts = QUIET | changes | {"disposition": disposition, "q850_cause": cause, "sip_code": sip}
    return record(f"pbx1:{number}", attempts=(tried,), **facts)


def refused(number, disposition):
    """A call that this switch did not dial."""
    facts = QUIET | {"disposition": disposition, "q850_cause": 31, "sip_code": None, "trunk": ""}
    return record(f"pbx1:{number}", attempts=(), **facts)


def sums(kind, key="", hour=HOUR):
    return HourlyCalls.objects.get(span="hour", hour=hour, kind=kind, key=key)


def test_while_no_hour_is_due_a_look_is_one_question(db, django_assert_num_queries):
    added = rollup.Rollup()
    added.look()

    with django_assert_num_queries(1):
        added.look()


def calls_of_a_day():
    """Every kind of ending there is, in one hour, and one call in the next."""
    return [
        record("pbx1:1"),
        record("pbx1:2", account="beta", prefix="4930"),
        unanswered(3, Disposition.BUSY, 17, 486),
        unanswered(4, Disposition.NO_ANSWER, 19, 480, ringing_ms=STARTED_MS + 900),
        unanswered(5, Disposition.NO_ANSWER, 18, 480),
        unanswered(6, Disposition.CANCELLED, 127, 487),
        unanswered(7, Disposition.CONGESTION, 34, 503),
        unanswered(8, Disposition.REJECTED, 21, 603),
        unanswered(9, Disposition.REJECTED, 21, 403),
        refused(10, Disposition.LIMITED),
        refused(11, Disposition.NO_ROUTE),
        record(
            "pbx1:12",
            attempts=(
                attempt(q850_cause=34, sip_code=503, **QUIET),
                attempt(number=2, trunk="carrier-b"),
                attempt(number=3, trunk="carrier-c", outcome=Outcome.SKIPPED_FULL),
            ),
        ),
        record("pbx1:13", started_ms=STARTED_MS + 3_600_000, ended_ms=STARTED_MS + 3_700_000),
    ]


@pytest.fixture
def a_day(db):
    store(calls_of_a_day())
    assert rollup.add_up() == 2
    assert not HourDue.objects.exists()


def test_calls_that_this_switch_refused_are_attempts_and_no_seizures(a_day):
    row = sums("all")
    assert (row.attempts, row.seizures, row.answered) == (12, 10, 3)


def test_busy_rung_and_declined_are_effective_the_rest_is_not(a_day):
    # 3 answered, busy, rung out, and declined with 603.
    assert sums("all").effective == 6


def test_each_account_prefix_and_hour_has_its_own(a_day):
    assert sums("account", "beta").answered == 1
    assert sums("account", "demo").answered == 2
    assert sums("prefix", "4930").attempts == 1
    assert sums("all", hour=HOUR + timedelta(hours=1)).attempts == 1


def test_one_call_is_counted_as_the_database_counts_it(a_day):
    counted = Sums()
    for call in calls_of_a_day()[:-1]:
        counted.add(sums_of(call))
    row = sums("all")
    names = ("attempts", "seizures", "answered", "effective", "talk_ms", "billsec", "pdd", "causes")
    assert {name: getattr(counted, name) for name in names} == {
        name: getattr(row, name) for name in names
    }


def test_of_a_trunk_every_dialled_attempt_counts(a_day):
    first, second = sums("trunk", "carrier-a"), sums("trunk", "carrier-b")
    assert (first.attempts, first.answered) == (10, 2)
    assert (second.attempts, second.answered, second.talk_ms) == (1, 1, 10_100)
    assert not HourlyCalls.objects.filter(key="carrier-c").exists()


def test_causes_of_what_was_not_answered_are_counted(a_day):
    assert sums("trunk", "carrier-a").causes == {
        "17/486": 1,
        "19/480": 1,
        "18/480": 1,
        "127/487": 1,
        "34/503": 2,
        "21/603": 1,
        "21/403": 1,
    }


def test_the_post_dial_delay_is_a_histogram(a_day):
    # Two attempts on carrier-a rang after 400 ms, one after 800.
    assert sums("trunk", "carrier-a").pdd == [0, 2, 0, 1] + [0] * (BINS - 4)


def test_adding_up_again_changes_nothing(a_day):
    before = list(HourlyCalls.objects.values().order_by("kind", "key", "hour"))
    assert rollup.all_due() == 2
    rollup.add_up()
    after = list(HourlyCalls.objects.values().order_by("kind", "key", "hour"))
    assert [row | {"id": 0} for row in after] == [row | {"id": 0} for row in before]


def test_a_late_record_is_added(a_day):
    store([record("pbx1:14")])
    rollup.add_up()
    assert sums("all").attempts == 13


def test_a_repeated_record_makes_no_hour_due(a_day):
    store([record("pbx1:1")])
    assert not HourDue.objects.exists()


def test_a_record_written_while_its_hour_is_added_up_keeps_the_hour_due(db, monkeypatch):
    store([record("pbx1:1")])
    added_up = rollup.of_hour

    def of_hour(hour):
        found = added_up(hour)
        store([record("pbx1:2")])
        return found

    monkeypatch.setattr(rollup, "of_hour", of_hour)
    rollup.add_up()
    monkeypatch.undo()
    assert HourDue.objects.count() == 1
    rollup.add_up()
    assert sums("all").attempts == Cdr.objects.count() == 2


@pytest.mark.parametrize(
    ("histogram", "percent", "ms"),
    [
        ([0] * BINS, 50, None),
        ([4] + [0] * (BINS - 1), 50, 125),
        ([0, 4] + [0] * (BINS - 2), 50, 375),
        ([1, 1] + [0] * (BINS - 2), 100, 500),
        ([0] * (BINS - 1) + [3], 50, 20_000),
    ],
)
def test_a_percentile_lies_between_the_edges_of_its_bin(histogram, percent, ms):
    assert percentile(histogram, percent) == ms


def test_without_calls_there_are_no_rates():
    nothing = Sums()
    assert (nothing.asr, nothing.ner, nothing.acd_s, nothing.pdd_ms(50)) == (None,) * 4


@pytest.fixture
def days(db):
    """One call an hour for three days that are over."""
    end = rollup.day_of(datetime.now(UTC))
    begin_ms = round((end - timedelta(days=3)).timestamp() * 1000)
    store(
        record(f"pbx1:h{n}", started_ms=at, ended_ms=at + 20_000)
        for n in range(72)
        for at in [begin_ms + n * 3_600_000]
    )
    while rollup.add_up():
        pass
    return end


def test_days_that_are_over_are_added_up_from_their_hours(days):
    found = HourlyCalls.objects.filter(span="day", kind="account", key="demo")
    assert [row.attempts for row in found] == [24, 24, 24]


@pytest.mark.parametrize(("back", "attempts"), [(72, 72), (71, 71), (30, 30), (24, 24), (5, 5)])
def test_hours_and_days_are_read_together_and_none_twice(days, back, attempts):
    found = by_key(HourlyCalls.Kind.ACCOUNT, days - timedelta(hours=back), days)
    assert found["demo"].attempts == attempts


def test_the_hours_before_and_after_whole_days_are_asked_for_apart(days):
    with CaptureQueriesContext(connection) as asked:
        found = by_key(
            HourlyCalls.Kind.ACCOUNT, days - timedelta(hours=70), days - timedelta(hours=1)
        )
        causes_by_key(HourlyCalls.Kind.ACCOUNT, days - timedelta(hours=70), days, ["demo"])
    assert found["demo"].attempts == 69
    # Two stretches in one question make PostgreSQL read the whole table where there are few keys.
    assert not [query["sql"] for query in asked if " OR " in query["sql"]]


def test_a_late_record_of_a_day_that_was_added_up_is_counted(days):
    at_ms = round((days - timedelta(hours=30)).timestamp() * 1000)
    store([record("pbx1:late", started_ms=at_ms, ended_ms=at_ms + 1_000)])
    while rollup.add_up():
        pass
    found = by_key(HourlyCalls.Kind.ACCOUNT, days - timedelta(hours=72), days)
    assert found["demo"].attempts == 73


def test_each_bin_has_a_column_that_says_what_the_list_says(a_day):
    rows = HourlyCalls.objects.values_list("pdd", *BIN_COLUMNS)
    assert all(list(bins) == pdd for pdd, *bins in rows)
    assert sum(sum(pdd) for pdd, *_ in rows)


def by_hand(kind, first, end):
    """The sums of each key, added up row by row from its hours."""
    found = defaultdict(Sums)
    for row in HourlyCalls.objects.filter(span="hour", kind=kind, hour__gte=first, hour__lt=end):
        found[row.key].add(rollup.sums_in(row))
    return found


@pytest.fixture
def mixed_days(db):
    """Three days that are over, of two trunks, three accounts and every kind of ending."""
    end = rollup.day_of(datetime.now(UTC))
    first_ms = round((end - timedelta(days=3)).timestamp() * 1000)
    store(calls(400, first_ms, first_ms + 72 * 3_600_000 - 1))
    while rollup.add_up():
        pass
    return end


@pytest.mark.parametrize("kind", ["account", "trunk", "prefix", "all"])
@pytest.mark.parametrize("back", [72, 50, 7])
def test_the_database_adds_up_what_the_rows_say(mixed_days, kind, back):
    first = mixed_days - timedelta(hours=back)
    expected = by_hand(kind, first, mixed_days)
    kind = HourlyCalls.Kind(kind)
    found = by_key(kind, first, mixed_days)
    causes = causes_by_key(kind, first, mixed_days, list(found))
    for key, counted in causes.items():
        found[key].causes = counted
    assert expected
    assert found == expected
    assert {key: of_key(kind, key, first, mixed_days) for key in expected} == {
        key: replace(each, causes=Counter()) for key, each in expected.items()
    }


def test_causes_are_told_of_those_alone_who_are_asked_for(mixed_days):
    first = mixed_days - timedelta(days=3)
    found = causes_by_key(HourlyCalls.Kind.TRUNK, first, mixed_days, ["carrier-b"])
    assert list(found) == ["carrier-b"]


def as_the_version_before_wrote_them():
    HourlyCalls.objects.update(**dict.fromkeys(BIN_COLUMNS))


def test_rows_of_the_version_before_get_their_bins(mixed_days):
    first = mixed_days - timedelta(days=3)
    before = by_key(HourlyCalls.Kind.TRUNK, first, mixed_days)
    as_the_version_before_wrote_them()

    rollup.Rollup().look()

    assert not HourlyCalls.objects.filter(pdd_0__isnull=True).exists()
    assert by_key(HourlyCalls.Kind.TRUNK, first, mixed_days) == before


def test_a_day_is_not_added_up_before_its_hours_have_bins(mixed_days):
    HourlyCalls.objects.filter(span="day").delete()
    as_the_version_before_wrote_them()
    added = rollup.Rollup()

    added.look()
    assert not HourlyCalls.objects.filter(span="day").exists()

    added.look()
    assert HourlyCalls.objects.filter(span="day", kind="all").count() == 3
    assert not HourlyCalls.objects.filter(pdd_0__isnull=True).exists()


def test_a_row_whose_list_is_too_short_gets_bins_too(a_day):
    HourlyCalls.objects.update(pdd=[1], **dict.fromkeys(BIN_COLUMNS))
    rollup.Rollup().look()
    assert set(HourlyCalls.objects.values_list("pdd_0", "pdd_12")) == {(1, 0)}
