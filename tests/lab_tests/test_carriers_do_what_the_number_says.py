"""The SIPp carrier and the SIPp caller, without an Asterisk between them."""

import socket
from collections.abc import Iterator

import pytest

from tests.lab.ports import free_port
from tests.lab.sip import FINAL_CODES, Caller, Carrier, escaped


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    with Carrier(free_port(socket.SOCK_DGRAM)) as running:
        yield running


@pytest.fixture
def caller(carrier: Carrier) -> Caller:
    return Caller(carrier.port)


def test_200_rings_and_answers_and_takes_the_callers_bye(carrier, caller):
    calls = caller.call("4930200", talk_ms=10)

    (seen,) = calls.seen
    assert (seen.provisional, seen.final, seen.ended_by) == ((180,), 200, "caller")
    assert carrier.seen("4930200") == ["INVITE", "ANSWERED", "BYE-RECEIVED"]
    assert calls.failed == 0


def test_182_answers_without_ringing(carrier, caller):
    (seen,) = caller.call("4930182", talk_ms=10).seen

    assert (seen.provisional, seen.final) == ((), 200)


def test_183_gives_early_media_before_the_answer(carrier, caller):
    (seen,) = caller.call("4930183", talk_ms=10).seen

    assert (seen.provisional, seen.final) == ((183,), 200)


def test_299_hangs_up_itself(carrier, caller):
    (seen,) = caller.call("4930299", talk_ms=None).seen

    assert (seen.final, seen.ended_by) == (200, "callee")
    assert carrier.seen("4930299") == ["INVITE", "ANSWERED", "BYE-SENT"]


def test_180_rings_until_the_caller_cancels(carrier, caller):
    (seen,) = caller.call("4930180", cancel_after_ms=100).seen

    assert (seen.provisional, seen.final, seen.cancelled) == ((180,), 487, True)
    assert carrier.seen("4930180") == ["INVITE", "CANCELLED"]


def test_100_stays_silent_until_the_caller_cancels(carrier, caller):
    (seen,) = caller.call("4930100", cancel_after_ms=100).seen

    assert (seen.provisional, seen.final, seen.cancelled) == ((), 487, True)


def test_every_final_code_can_be_had_without_ringing(carrier, caller):
    numbers = [f"49308{code}" for code in FINAL_CODES]

    calls = caller.call(numbers, rate=100)

    assert calls.finals == list(FINAL_CODES)
    assert {seen.provisional for seen in calls.seen} == {()}
    assert calls.failed == 0


def test_a_one_before_the_code_rings_first(carrier, caller):
    calls = caller.call(["49301486", "49301480", "49301603"])

    assert calls.finals == [486, 480, 603]
    assert {seen.provisional for seen in calls.seen} == {(180,)}


@pytest.mark.parametrize("number", ["1@evil/x&y,^200", "7" * 200 + "200", "<&%\"';200"])
def test_a_hostile_number_is_dialled_as_it_is(carrier, caller, number):
    (seen,) = caller.call(number, talk_ms=10).seen

    assert (seen.number, seen.final) == (number, 200)
    assert carrier.seen(number) == ["INVITE", "ANSWERED", "BYE-RECEIVED"]


def test_a_number_is_escaped_as_sip_wants_it():
    assert escaped("+49*1#@/&,^") == "+49*1%23%40%2F%26%2C%5E"


def test_several_calls_are_told_apart(carrier, caller):
    calls = caller.call(["4931486", "4932182"], count=6, rate=50, talk_ms=10)

    assert [seen.number for seen in calls.seen] == ["4931486", "4932182"] * 3
    assert calls.finals == [486, 200] * 3
    assert calls.answered == 3
    assert calls.answer_percentile_ms(50) > 0


def test_a_run_can_be_stopped_and_its_calls_hang_up(carrier, caller):
    running = caller.start("4933182", talk_ms=300, count=1000, rate=10)
    running.wait_until_answered(2)

    calls = running.stop()

    assert 2 <= len(calls.seen) < 1000
    assert {seen.ended_by for seen in calls.seen} == {"caller"}
    assert not running.running
