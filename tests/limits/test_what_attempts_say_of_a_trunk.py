"""What is noted of trunks in a process, and how what Redis made of it is read and told. Pure."""

import logging

import orjson
import pytest

from calls.limits import health
from calls.limits.health import Proofs, TrunkState, log_changes, sentence, state_of, states_of
from calls.limits.refusals import skip_down
from calls.limits.rules import Health, Skip
from calls.routing.targets import Skipped

DOWN = b"down 1763900000000 9 10"


def test_proofs_are_counted_until_they_are_taken():
    proofs = Proofs()
    for trunk, works in (("a", True), ("a", False), ("b", True), ("a", True)):
        proofs.note(trunk, works)

    assert proofs.take() == [{"name": "a", "ok": 2, "bad": 1}, {"name": "b", "ok": 1, "bad": 0}]
    assert proofs.take() == []


def test_a_trunk_that_is_not_up_is_judged_again_without_a_proof():
    proofs = Proofs()
    proofs.unwell = {"a": TrunkState(Health.DEGRADED)}

    assert proofs.take() == [{"name": "a", "ok": 0, "bad": 0}]


def test_what_could_not_be_brought_is_noted_again():
    proofs = Proofs()
    proofs.note("a", False)
    taken = proofs.take()
    proofs.note("a", True)
    proofs.put_back(taken)

    assert proofs.take() == [{"name": "a", "ok": 1, "bad": 1}]


def test_only_a_trunk_that_is_down_is_down():
    proofs = Proofs()
    proofs.unwell = states_of([b"a", DOWN, b"b", b"degraded 1763900000000 4 10"])

    assert proofs.down == ("a",)
    assert proofs.unwell["a"] == TrunkState(Health.DOWN, 1_763_900_000_000, 9, 10)


def test_a_trunk_of_which_redis_says_nothing_is_up():
    assert state_of(None) == TrunkState(Health.UP)


def test_the_question_names_the_bounds_that_judge():
    asked = orjson.loads(health.question([{"name": "a", "ok": 1, "bad": 0}]))

    assert asked["trunks"] == [{"name": "a", "ok": 1, "bad": 0}]
    assert (asked["degraded"], asked["down"], asked["least"]) == (
        health.DEGRADED,
        health.DOWN,
        health.LEAST,
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"up", b"down", "is down: 9 of 10 attempts failed in 60 s. It is skipped but for a trial"),
        (b"up", b"degraded", "is degraded: 9 of 10 attempts failed in 60 s."),
        (b"down", b"up", "is up again: a trial call got through."),
        (b"degraded", b"up", "is up again: 9 of 10 attempts failed in 60 s."),
    ],
)
def test_a_change_is_one_sentence(before, after, said):
    assert sentence("a", before, after, 9, 10).startswith(f"Trunk a {said}")


def test_a_change_for_the_worse_is_an_error_and_a_recovery_is_not(caplog):
    caplog.set_level(logging.INFO)
    log_changes([b"a", b"up", b"down", 9, 10, b"b", b"down", b"up", 1, 10])

    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "INFO"]


def test_a_trunk_that_is_down_is_skipped_with_a_sentence():
    assert skip_down("a") == Skip("a", Skipped.DOWN, "trunk a is down")
