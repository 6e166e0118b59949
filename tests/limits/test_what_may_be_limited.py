"""Limits: what they accept and refuse, and how they reach the engine."""

import asyncio

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, transaction

from calls.errors import RoutingUnavailable
from calls.limits.rules import Health, Metric, Scope
from calls.models import Account, Limit, Trunk
from calls.store import limit_book
from calls.store.limit_book import LimitBook, read_book

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def known():
    Account.objects.create(code="demo", name="Demo")
    Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")


def limit(scope="account", target="demo", metric="concurrent", value=5, **fields):
    return Limit(scope=scope, target=target, metric=metric, value=value, **fields)


def asked(*args, **fields):
    """A limit that is made when its test runs."""
    return lambda: limit(*args, **fields)


@pytest.mark.parametrize(
    "good",
    [
        asked("global", "", "cps"),
        asked("global", "", "minutes", window="month"),
        asked(),
        asked(metric="minutes", window="day", value=1_000_000),
        asked(metric="max_duration", mode="observe"),
        asked("trunk", "carrier-a"),
        asked("trunk", "carrier-a", "cps"),
        asked("prefix", "4930", "minutes", window="day"),
    ],
    ids=range(8),
)
def test_a_limit_that_makes_sense_is_accepted(good):
    good().full_clean()


@pytest.mark.parametrize(
    ("bad", "field", "sentence"),
    [
        (asked("global", "49"), "prefix", "A limit of all calls has no prefix"),
        (lambda: Limit(scope="account", metric="cps", value=5), "account", "Say whose calls"),
        (lambda: Limit(scope="trunk", metric="cps", value=5), "trunk", "Say whose calls"),
        (asked("prefix", ""), "prefix", "Say whose calls"),
        (
            lambda: Limit(
                scope="account", account=Account.objects.get(), prefix="49", metric="cps", value=5
            ),
            "prefix",
            "A limit of account has no prefix",
        ),
        (asked("prefix", "+49"), "prefix", "made of up to 15 digits"),
        (asked("trunk", "carrier-a", "minutes", window="day"), "metric", "A trunk is limited by"),
        (asked("trunk", "carrier-a", "max_duration"), "metric", "A trunk is limited by"),
        (asked(metric="minutes"), "window", "a day or a month"),
        (asked(window="day"), "window", "Only minutes have a window"),
        (asked(value=0), "value", "greater than or equal to 1"),
        (asked(metric="cps", value=10_001), "value", "10,000 at most"),
        (asked(metric="max_duration", value=86_401), "value", "86,400 at most"),
        (asked(warn_percent=101), "warn_percent", "less than or equal to 100"),
        (asked("planet", ""), "scope", "not a valid choice"),
        (asked(metric="joy"), "metric", "not a valid choice"),
        (asked(mode="maybe"), "mode", "not a valid choice"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_limit_that_would_count_nothing_or_something_else_is_refused(bad, field, sentence):
    with pytest.raises(ValidationError) as refusal:
        bad().full_clean()
    assert list(refusal.value.message_dict) == [field]
    assert sentence in refusal.value.message_dict[field][0]


def test_a_limit_without_a_value_is_refused_with_a_sentence_and_not_a_fault():
    with pytest.raises(ValidationError):
        Limit(scope="account", target="demo", metric="cps").full_clean()


def test_there_is_one_limit_of_a_kind_for_a_target():
    limit().save()
    with pytest.raises(ValidationError, match="This account already has a limit of this kind"):
        limit(value=9).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        limit(value=9).save()
    limit(metric="minutes", window="day").save()
    limit(metric="minutes", window="month").save()


def test_a_limit_is_named_as_records_name_it():
    assert str(limit(value=50)) == "account demo: 50 concurrent"
    assert limit("trunk", "carrier-a", "cps", 1).name == "trunk carrier-a: 1 call a second"


@pytest.mark.parametrize(("field", "bad"), [("max_calls", 0), ("max_cps", 0), ("max_cps", 10_001)])
def test_a_trunk_holds_no_calls_or_some_but_never_none_or_too_many(field, bad):
    trunk = Trunk.objects.get()
    for good in (None, 1, 1000):
        setattr(trunk, field, good)
        trunk.full_clean()
    setattr(trunk, field, bad)
    with pytest.raises(ValidationError):
        trunk.full_clean()


# --- The book -------------------------------------------------------------------------------------


def test_an_empty_configuration_is_an_empty_book():
    book = read_book()

    assert (book.everybody, dict(book.accounts), dict(book.trunks)) == ((), {}, {})
    assert dict(book.overrides) == {}


def test_every_enabled_limit_is_in_the_book_where_it_is_looked_for():
    for each in (
        limit("global", "", "cps", 100),
        limit(),
        limit(metric="cps", mode="observe"),
        limit("prefix", "49", "minutes", 100, window="day"),
        limit("trunk", "carrier-a", "cps", 7),
        limit("prefix", "33", enabled=False),
    ):
        each.save()
    Trunk.objects.update(max_calls=10, health_override="down")
    book = read_book()

    assert [row.value for row in book.everybody] == [100]
    assert [row.enforce for row in book.accounts["demo"]] == [True, False]
    assert list(book.prefixes) == ["49"]
    assert [(row.scope, row.metric, row.value) for row in book.trunks["carrier-a"]] == [
        (Scope.TRUNK, Metric.CPS, 7),
        (Scope.CAPACITY, Metric.CONCURRENT, 10),
    ]
    assert dict(book.overrides) == {"carrier-a": Health.DOWN}


def test_days_of_an_accounts_minutes_begin_where_the_account_lives():
    Account.objects.update(time_zone="Asia/Tokyo")
    limit(metric="minutes", window="day").save()
    limit("prefix", "49", "minutes", window="day").save()
    book = read_book()

    assert [row.time_zone for row in book.accounts["demo"]] == ["Asia/Tokyo"]
    assert [row.time_zone for row in book.prefixes["49"]] == ["UTC"]


async def test_a_book_is_read_once_for_all_calls_of_a_version(monkeypatch):
    reads = []

    def read():
        reads.append(1)
        return limit_book.Book()

    monkeypatch.setattr(limit_book, "read_book", read)
    book = LimitBook()
    found = await asyncio.gather(*(book.read(7) for _ in range(20)))

    assert len(reads) == 1
    assert all(each is found[0] for each in found)
    assert book.known(7) is found[0]
    assert book.known(8) is None
    await book.read(8)
    assert len(reads) == 2
    await book.close()


async def test_limits_are_read_again_after_a_while_though_nobody_told_of_a_change(monkeypatch):
    monkeypatch.setattr(limit_book, "read_book", limit_book.Book)
    book = LimitBook()
    first = await book.read(7)
    await book.refresh()
    assert book.known(7) is first

    monkeypatch.setattr(book, "_old_at", 0)
    await book.refresh()

    assert book.known(7) is not first
    await book.close()


async def test_without_a_database_the_limits_that_are_remembered_hold(monkeypatch, caplog):
    def away():
        raise DatabaseError("connection refused\nand more")

    monkeypatch.setattr(limit_book, "read_book", limit_book.Book)
    book = LimitBook()
    first = await book.read(1)
    monkeypatch.setattr(limit_book, "read_book", away)

    assert await book.read(2) is first
    assert await book.read(2) is first
    assert caplog.text.count("connection refused") == 1
    await book.close()


async def test_without_a_database_from_the_start_nobody_knows_the_limits(monkeypatch):
    def away():
        raise DatabaseError("connection refused")

    monkeypatch.setattr(limit_book, "read_book", away)
    book = LimitBook()

    with pytest.raises(RoutingUnavailable, match="limits cannot be read: connection refused"):
        await book.read(1)
    await book.close()


def test_once_a_newer_version_has_taken_a_column_old_workers_keep_what_they_remember(monkeypatch):
    """And one that is started anew refuses all calls: docs/upgrading.md, "From before 0.9.0"."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE calls_limit RENAME COLUMN note TO taken")
    try:
        with pytest.raises(DatabaseError) as taken, transaction.atomic():
            read_book()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE calls_limit RENAME COLUMN taken TO note")

    def read_by_old_code():
        raise taken.value

    async def old_worker():
        monkeypatch.setattr(limit_book, "read_book", limit_book.Book)
        book = LimitBook()
        first = await book.read(1)
        monkeypatch.setattr(limit_book, "read_book", read_by_old_code)
        assert await book.read(2) is first
        assert book.known(2) is None
        await book.close()

    async def old_worker_started_anew():
        book = LimitBook()
        with pytest.raises(RoutingUnavailable, match="limits cannot be read"):
            await book.read(2)
        await book.close()

    asyncio.run(old_worker())
    asyncio.run(old_worker_started_anew())
