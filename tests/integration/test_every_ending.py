"""Each way a call can end, on a real Asterisk with real SIP: what the caller hears, the CDR, and
that nothing is left."""

import pytest

from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier

CARRIER_A = "PJSIP/{number}@carrier-a"


@pytest.mark.parametrize(
    ("number", "heard", "disposition", "cause", "sip_code"),
    [
        ("491486", 486, "busy", 17, 486),
        ("491600", 486, "busy", 17, 600),
        ("49480", 480, "no_answer", 19, 480),
        ("491480", 480, "no_answer", 19, 480),
        ("49503", 503, "congestion", 34, 503),
        ("49502", 502, "congestion", 27, 502),
        ("49500", 500, "congestion", 38, 500),
        ("49404", 404, "unallocated", 1, 404),
        ("49410", 410, "invalid_number", 22, 410),
        ("49484", 484, "invalid_number", 28, 484),
        ("49403", 403, "rejected", 21, 403),
        ("49603", 403, "rejected", 21, 603),
        ("49488", 488, "media", 58, 488),
    ],
)
def test_the_caller_hears_what_the_carrier_said(
    ringmaster: Ringmaster,
    caller: Caller,
    carrier: Carrier,
    number: str,
    heard: int,
    disposition: str,
    cause: int,
    sip_code: int,
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)

    calls = caller.call(number)

    assert calls.finals == [heard]
    cdr = ringmaster.cdr()
    assert cdr.disposition == disposition
    assert (cdr.q850_cause, cdr.sip_code) == (cause, sip_code)
    assert cdr.sip_code_heard == heard
    assert cdr.ended_by == "callee"
    assert cdr.answered_at is None
    assert (cdr.talk_ms, cdr.billsec) == (0, 0)
    assert (cdr.account, cdr.trunk) == ("demo", "carrier-a-49-1")
    assert cdr.integrity == "complete"
    (attempt,) = cdr.attempts.all()
    assert (attempt.outcome, attempt.sip_code) == ("dialled", sip_code)
    ringmaster.assert_nothing_left()


def test_a_call_that_the_caller_hangs_up(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)

    calls = caller.call("49200", talk_ms=700)

    (seen,) = calls.seen
    assert (seen.final, seen.provisional, seen.ended_by) == (200, (180,), "caller")
    carrier.wait_for("49200", "BYE-RECEIVED")
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by) == ("answered", "caller")
    assert (cdr.q850_cause, cdr.sip_code) == (16, 200)
    assert 600 <= cdr.talk_ms <= 1500
    assert cdr.billsec == -(-cdr.talk_ms // 1000)
    assert cdr.started_at < cdr.ringing_at < cdr.answered_at < cdr.ended_at
    assert cdr.callee_received == cdr.callee_normalised == cdr.callee_sent == "49200"
    ringmaster.assert_nothing_left()


def test_a_call_that_the_callee_hangs_up(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)

    calls = caller.call("49299", talk_ms=None)

    (seen,) = calls.seen
    assert (seen.final, seen.ended_by) == (200, "callee")
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by) == ("answered", "callee")
    assert cdr.talk_ms >= 900
    ringmaster.assert_nothing_left()


def test_a_call_that_reaches_its_hard_limit(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account(max_call_s=2)
    ringmaster.route("49", CARRIER_A)

    calls = caller.call("49200", talk_ms=None)

    assert calls.finals == [200]
    assert calls.seen[0].ended_by == "callee"
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by, cdr.q850_cause) == ("answered", "limit", 102)
    assert cdr.reason == "the hard limit of 2 s was reached"
    assert 1500 <= cdr.talk_ms <= 3500
    ringmaster.assert_nothing_left()


def test_asterisk_keeps_the_hard_limit_on_both_legs_with_every_process_dead(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account(max_call_s=3)
    ringmaster.route("49", CARRIER_A, ring_timeout_s=2)
    running = caller.start("49200", talk_ms=None)
    running.wait_until_answered(1)
    carrier.wait_for("49200", "ANSWERED")

    for name in ("bridge", "calls", "records"):
        ringmaster.stack.kill(name)
    calls = running.wait(timeout_s=20)

    assert calls.seen[0].ended_by == "callee"
    carrier.wait_for("49200", "BYE-RECEIVED")
    ringmaster.asterisk.wait_until_no_channel()
    ringmaster.restart_all()
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.integrity) == ("answered", "recovered")
    assert cdr.talk_ms == 3000, "what was not seen is not billed beyond the limit"
    ringmaster.assert_nothing_left()


def test_a_callee_that_never_answers(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A, ring_timeout_s=2)

    calls = caller.call("49180")

    assert calls.finals == [480]
    carrier.wait_for("49180", "CANCELLED")
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by) == ("no_answer", "switch")
    assert cdr.pdd_ms is not None
    assert cdr.ring_ms >= 1000
    assert cdr.attempts.get().reason == "no answer within 2 s"
    ringmaster.assert_nothing_left()


def test_early_media_and_ringing_reach_the_caller(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)

    calls = caller.call("49183")

    assert calls.seen[0].provisional == (183,)
    assert calls.finals == [200]
    cdr = ringmaster.cdr()
    assert cdr.progress_at is not None
    assert cdr.ringing_at is None
    assert cdr.pdd_ms is not None
    ringmaster.assert_nothing_left()


def test_a_caller_who_gives_up_while_it_rings_stops_the_ringing_at_once(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A, ring_timeout_s=60)

    calls = caller.call("49180", cancel_after_ms=500)

    assert calls.seen[0].cancelled
    assert calls.finals == [487]
    carrier.wait_for("49180", "CANCELLED", timeout_s=3)
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by, cdr.sip_code) == ("cancelled", "caller", 487)
    assert cdr.ringing_at is not None
    ringmaster.assert_nothing_left()


def test_a_caller_who_gives_up_before_b_exists(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    """The worker is away while the caller comes and goes."""
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)
    ringmaster.stack.kill("calls")

    calls = caller.call("49200", cancel_after_ms=300)
    ringmaster.asterisk.wait_until_no_channel()
    ringmaster.restart_all()

    assert calls.finals == [487]
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by) == ("cancelled", "caller")
    assert cdr.attempts.count() == 0
    assert carrier.seen("49200") == []
    ringmaster.assert_nothing_left()


def test_a_number_without_a_route_gets_404(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()

    calls = caller.call("49200")

    assert calls.finals == [404]
    cdr = ringmaster.cdr()
    assert cdr.sip_code_heard == 404
    assert (cdr.disposition, cdr.ended_by, cdr.q850_cause) == ("no_route", "switch", 1)
    assert cdr.reason == "no route of account demo has a prefix of 49200"
    assert carrier.seen("49200") == []
    ringmaster.assert_nothing_left()


def test_a_blocked_prefix_gets_403(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)
    ringmaster.route("4920", action="block")

    calls = caller.call("49200")

    assert calls.finals == [403]
    assert ringmaster.cdr().disposition == "blocked"
    assert carrier.seen("49200") == []
    ringmaster.assert_nothing_left()


@pytest.mark.parametrize("enabled", [None, False])
def test_a_caller_of_no_enabled_account_gets_403(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier, enabled: bool | None
) -> None:
    if enabled is not None:
        ringmaster.account("mallory", enabled=enabled)
    ringmaster.route("49", CARRIER_A)

    calls = caller.call("49200", as_user="mallory")

    assert calls.finals == [403]
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by) == ("unauthorized", "switch")
    assert carrier.seen("49200") == []
    ringmaster.assert_nothing_left()


def test_an_account_is_found_by_the_endpoint_where_there_is_no_accountcode(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account("mallory")
    ringmaster.route("49", CARRIER_A)

    assert caller.call("49200", as_user="mallory").finals == [200]
    assert ringmaster.cdr().account == "mallory"
    ringmaster.assert_nothing_left()


def test_a_route_whose_only_trunk_is_disabled_gets_503(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A, enabled=False)

    calls = caller.call("49200")

    assert calls.finals == [503]
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.reason) == (
        "congestion",
        "route 49 (all): carrier-a-49-1 is disabled",
    )
    assert cdr.attempts.get().outcome == "skipped_disabled"
    assert carrier.seen("49200") == []
    ringmaster.assert_nothing_left()


def test_a_dial_string_that_names_no_endpoint_gets_503(
    ringmaster: Ringmaster, caller: Caller
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@nowhere")

    calls = caller.call("49200")

    assert calls.finals == [503]
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by) == ("congestion", "switch")
    attempt = cdr.attempts.get()
    assert attempt.outcome == "failed"
    assert "PJSIP/49200@nowhere" in attempt.reason
    ringmaster.assert_nothing_left()


@pytest.mark.parametrize(
    "number",
    [
        "49200@evil",
        "49200/evil",
        "49200&PJSIP/49200@carrier-a",
        "49200,30,g",
        "49200^1",
        "4" * 78,
        "49" + "0" * 198,
        "49 200",
        "<script>alert(1)</script>",
        "${SHELL(id)}",
    ],
)
def test_a_hostile_number_is_refused_and_never_dialled(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier, number: str
) -> None:
    ringmaster.account()
    ringmaster.route("", CARRIER_A)

    calls = caller.call(number)

    assert calls.finals in ([484], [404])
    if calls.finals == [484]:
        cdr = ringmaster.cdr()
        assert (cdr.disposition, cdr.ended_by) == ("invalid_number", "switch")
        assert cdr.attempts.count() == 0
    assert carrier.all_seen() == []
    ringmaster.assert_nothing_left()


def test_the_next_trunk_is_tried_where_the_cause_allows_it(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@nowhere", CARRIER_A)

    assert caller.call("49200").finals == [200]

    cdr = ringmaster.cdr()
    assert [each.outcome for each in cdr.attempts.order_by("number")] == ["failed", "dialled"]
    assert (cdr.disposition, cdr.trunk) == ("answered", "carrier-a-49-2")
    ringmaster.assert_nothing_left()
