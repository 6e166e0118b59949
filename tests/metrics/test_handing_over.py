"""Each process hands over what it counts, and keeps series of its own."""

import zlib

from calls.store import heartbeats
from calls.store.handover import PREFIX, hand_over, handed_over
from calls.store.heartbeats import Heart
from tests.lab.waiting import wait_for
from tests.metrics.readings import value

THEIRS = b"""# HELP ringmaster_calls_begun_total Calls.
# TYPE ringmaster_calls_begun_total counter
ringmaster_calls_begun_total{node="pbx1"} 7.0
"""


def test_two_processes_are_told_apart(clean_redis):
    for pid, count in ((1, b"7.0"), (2, b"5.0")):
        text = zlib.compress(THEIRS.replace(b"7.0", count))
        clean_redis.set(f"{PREFIX}calls:host:{pid}", text)

    found = handed_over(clean_redis)

    name = "ringmaster_calls_begun_total"
    assert value(found, name) == 12
    assert value(found, name, process_id="host:1", process="calls", node="pbx1") == 7
    assert value(found, name, process_id="host:2") == 5
    assert [family.type for family in found] == ["counter"]


def test_what_this_process_counts_comes_back_whole(clean_redis):
    hand_over(clean_redis, "calls", "host:1")
    found = handed_over(clean_redis)
    assert value(found, "ringmaster_turn_seconds_count", process="calls") is not None
    assert value(found, "process_cpu_seconds_total", process_id="host:1") > 0
    assert 0 < clean_redis.pttl(f"{PREFIX}calls:host:1") <= 30_000


def test_what_another_version_hands_over_otherwise_is_left_out(clean_redis):
    clean_redis.set(f"{PREFIX}calls:host:1", b"not compressed")
    clean_redis.set(f"{PREFIX}calls:host:2", zlib.compress(b"not { a metric"))
    clean_redis.set(f"{PREFIX}calls:host:3", zlib.compress(THEIRS))
    assert value(handed_over(clean_redis), "ringmaster_calls_begun_total") == 7


def test_a_process_hands_over_while_it_lives_and_at_its_end(clean_redis, monkeypatch):
    monkeypatch.setattr(heartbeats, "BEAT_S", 0.02)
    heart = Heart("records")
    key = f"{PREFIX}records:{heart.name}"
    heart.start()
    wait_for(lambda: clean_redis.exists(key), timeout_s=5, failure=lambda: "nothing handed over")
    clean_redis.delete(key)
    heart.stop()
    assert clean_redis.exists(key), "what it counted last is still to be scraped"
