"""The ledger's light: what its last check found, kept for the dashboard."""

import threading

import orjson
import pytest

from calls.clock import wall_clock_ms
from calls.store.ledger_light import KEY, LedgerWatch, Light, check, read
from cdr import rounds
from cdr.writer import store, store_begun
from tests.cdr.made_up import record

pytestmark = pytest.mark.django_db
NO_WAIT = threading.Event()
NO_WAIT.set()


class Turns(threading.Event):
    """Lets a loop wait so many times, in no time, and then ends it."""

    def __init__(self, left):
        super().__init__()
        self.left = left

    def wait(self, timeout=None):
        self.left -= 1
        return self.left < 0


@pytest.fixture
def in_this_thread(monkeypatch):
    """A connection of another would not see what the test has written."""
    monkeypatch.setattr(rounds, "close_old_connections", lambda: None)
    monkeypatch.setattr(rounds.connections, "close_all", lambda: None)


@pytest.fixture
def one_missing(clean_redis):
    now_ms = wall_clock_ms()
    store_begun([("pbx1:1", now_ms), ("pbx1:2", now_ms)])
    store([record("pbx1:1", started_ms=now_ms, ended_ms=now_ms)])
    return clean_redis


def test_a_missing_record_makes_it_red_and_is_told(one_missing):
    light = check(NO_WAIT)

    assert not light.green
    assert "1 call of" in light.sentence
    assert "without a record" in light.sentence
    assert read(one_missing) == light


def test_calls_that_all_have_their_record_make_it_green(one_missing):
    now_ms = wall_clock_ms()
    store([record("pbx1:2", started_ms=now_ms, ended_ms=now_ms)])

    light = check(NO_WAIT)

    assert (light.green, light.sentence[:12]) == (True, "All 2 calls ")


def test_yesterdays_calls_count_too(clean_redis):
    store_begun([("pbx1:1", wall_clock_ms() - 86_400_000)])

    assert not check(NO_WAIT).green


def test_nothing_goes_red_on_one_look(one_missing):
    """The record arrives between the two looks."""

    class Wait(threading.Event):
        def wait(self, timeout=None):
            store([record("pbx1:2", started_ms=wall_clock_ms(), ended_ms=wall_clock_ms())])
            return False

    assert check(Wait()).green


def test_a_light_of_another_version_is_none(clean_redis):
    for text in (b"{", b"[]", b'{"green": true}', orjson.dumps({"at_ms": None})):
        clean_redis.set(KEY, text)
        assert read(clean_redis) is None


def test_a_check_that_is_long_is_made_less_often():
    assert Light(0, True, "", 100).next_ms == 60_000
    assert Light(0, True, "", 30_000).next_ms == 600_000


def test_the_records_worker_checks_when_it_is_due(one_missing, in_this_thread, caplog):
    LedgerWatch().run(Turns(2))

    assert not read(one_missing).green
    assert "See Admin → Ledger." in caplog.text


def test_a_redis_that_is_away_is_told_and_checked_later(settings, in_this_thread, caplog):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    LedgerWatch().run(Turns(2))

    assert caplog.text.count("The ledger was not checked: Redis does not answer") == 2
