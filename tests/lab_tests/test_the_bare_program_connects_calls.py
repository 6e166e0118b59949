"""The benchmark's yardstick does the scenario right, on every kind of B leg."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.processes import Child
from tests.lab.waiting import wait_for


@contextlib.contextmanager
def bare(asterisk: Asterisk, dial_string: str, folder: Path, rest: str = "http") -> Iterator[None]:
    log = folder / "bare.log"
    command = [sys.executable, "-m", "tests.lab.bare", asterisk.ari_url, dial_string]
    child = Child("bare", [*command, "--ring-timeout", "1", "--rest", rest], log, cwd=REPOSITORY)
    try:
        wait_for(
            lambda: log.read_text() == "ready.\n", timeout_s=10, failure=lambda: log.read_text()
        )
        yield
        asterisk.wait_until_empty()
        assert log.read_text() == "ready.\n"
    finally:
        child.stop()


def test_the_caller_hears_how_the_callee_ended_the_call(asterisk, caller, carrier, tmp_path):
    with bare(asterisk, "PJSIP/{number}@carrier-a", tmp_path):
        assert caller.call(["49486", "491480", "49503", "49404", "49403"]).finals == [
            486, 480, 503, 404, 403,
        ]  # fmt: skip


def test_ringing_early_media_and_the_answer_reach_the_caller(asterisk, caller, carrier, tmp_path):
    with bare(asterisk, "PJSIP/{number}@carrier-a", tmp_path):
        rung, early, at_once = caller.call(["49200", "49183", "49182"]).seen

    assert (rung.provisional, rung.final) == ((180,), 200)
    assert (early.provisional, early.final) == ((183,), 200)
    assert (at_once.provisional, at_once.final) == ((), 200)


def test_the_callees_hangup_ends_the_callers_leg(asterisk, caller, carrier, tmp_path):
    with bare(asterisk, "PJSIP/{number}@carrier-a", tmp_path):
        (seen,) = caller.call("49299", talk_ms=None).seen

    assert (seen.final, seen.ended_by) == (200, "callee")


def test_a_cancelled_call_stops_the_callees_ringing(asterisk, caller, carrier, tmp_path):
    with bare(asterisk, "PJSIP/{number}@carrier-a", tmp_path):
        (seen,) = caller.call("49180", cancel_after_ms=300).seen
        carrier.wait_for("49180", "CANCELLED")

    assert seen.final == 487


def test_an_unanswered_call_ends_by_the_ring_timeout(asterisk, caller, carrier, tmp_path):
    with bare(asterisk, "PJSIP/{number}@carrier-a", tmp_path):
        (seen,) = caller.call("49180").seen
        carrier.wait_for("49180", "CANCELLED")

    assert (seen.final, seen.cancelled) == (480, False)


@pytest.mark.parametrize(
    "dial_string",
    ["Local/{number}@monkeys", "PJSIP/{number}@monkeys", "Local/{number}@onward"],
)
@pytest.mark.parametrize("rest", ["http", "websocket"])
def test_twenty_parallel_calls_leave_nothing(
    asterisk, caller, carrier, tmp_path, dial_string, rest
):
    with bare(asterisk, dial_string, tmp_path, rest):
        running = caller.start("4930200", count=20, rate=50, talk_ms=1500)
        running.wait_until_answered(20)
        calls = running.wait()

    assert (calls.answered, calls.failed) == (20, 0)
