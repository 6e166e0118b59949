"""A process is alive as long as it says so, and silent when its work stands still."""

import logging

import pytest

from calls.store import heartbeats
from calls.store.heartbeats import PREFIX, Heart, alive
from tests.lab.waiting import wait_for


@pytest.fixture(autouse=True)
def _quick(monkeypatch, clean_redis):
    monkeypatch.setattr(heartbeats, "BEAT_S", 0.02)
    monkeypatch.setattr(heartbeats, "SILENT_S", 0.3)
    monkeypatch.setattr(heartbeats, "LAPSE_MS", 150)


def kinds():
    return [process.kind for process in alive()]


def waited_for(probe):
    wait_for(probe, timeout_s=5, failure=lambda: f"alive: {alive()}")


def test_a_process_is_alive_with_what_it_says_of_itself_until_it_stops():
    heart = Heart("bridge", lambda: "pbx1 listens")
    heart.start()
    waited_for(alive)
    (process,) = alive()
    assert (process.kind, process.note) == ("bridge", "pbx1 listens")
    heart.stop()
    assert alive() == []


def test_a_loop_that_gives_no_sign_falls_silent_and_comes_back():
    heart = Heart("calls")
    heart.start()
    waited_for(alive)
    waited_for(lambda: not alive())
    heart.sign()
    waited_for(alive)
    heart.stop()


def test_a_redis_that_is_away_does_not_end_the_beating(settings, redis_url, caplog):
    caplog.set_level(logging.DEBUG)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    heart = Heart("records")
    heart.start()
    waited_for(lambda: "No heartbeat" in caplog.text)
    settings.REDIS_URL = redis_url
    heart.sign()
    waited_for(alive)
    heart.stop()


def test_what_another_version_writes_is_left_out(clean_redis):
    clean_redis.set(f"{PREFIX}calls:host:1", b"2")
    clean_redis.set(f"{PREFIX}calls:host:x", b"{}")
    clean_redis.set(f"{PREFIX}odd", b"{}")
    assert alive() == []
