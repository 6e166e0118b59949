"""When the next trunk is tried, on a real Asterisk with carriers that answer each SIP code.

Carrier A answers what the dialled number's last digits say; carrier B, the second target, gets
another number by its trunk's rewrite, to which it answers with 200.
"""

import pytest

from calls.models import Route, RouteTarget, Trunk
from cdr.models import Cdr
from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier

NEXT, STOP = True, False
ANSWERED = "200"
"""The last digits of the number that carrier B is sent."""

# SIP code of carrier A → disposition, whether B is tried, what the caller hears of A alone.
TABLE = {
    300: ("congestion", NEXT, 503),
    301: ("congestion", NEXT, 503),
    302: ("congestion", NEXT, 503),
    305: ("congestion", NEXT, 503),
    380: ("congestion", NEXT, 503),
    400: ("congestion", NEXT, 503),
    401: ("trunk_auth", NEXT, 403),
    402: ("congestion", NEXT, 503),
    403: ("rejected", NEXT, 403),
    404: ("unallocated", NEXT, 404),
    405: ("congestion", NEXT, 503),
    406: ("congestion", NEXT, 503),
    407: ("trunk_auth", NEXT, 403),
    408: ("timeout", NEXT, 408),
    410: ("invalid_number", STOP, 410),
    415: ("media", STOP, 488),
    420: ("congestion", NEXT, 503),
    480: ("no_answer", STOP, 480),
    481: ("congestion", NEXT, 503),
    482: ("loop", STOP, 480),
    483: ("loop", STOP, 480),
    484: ("invalid_number", STOP, 484),
    485: ("unallocated", NEXT, 404),
    486: ("busy", STOP, 486),
    487: ("congestion", NEXT, 503),
    488: ("media", STOP, 488),
    491: ("congestion", NEXT, 503),
    500: ("congestion", NEXT, 500),
    501: ("congestion", NEXT, 503),
    502: ("congestion", NEXT, 502),
    503: ("congestion", NEXT, 503),
    504: ("congestion", NEXT, 503),
    505: ("congestion", NEXT, 503),
    513: ("congestion", NEXT, 503),
    600: ("busy", STOP, 486),
    603: ("rejected", STOP, 403),
    604: ("invalid_number", STOP, 484),
    606: ("media", STOP, 488),
    607: ("rejected", STOP, 403),
    608: ("rejected", STOP, 403),
}


@pytest.fixture
def two_carriers(ringmaster: Ringmaster) -> Route:
    """A route for 49 to carrier A and then to carrier B, who answers."""
    ringmaster.account()
    route = Route.objects.create(prefix="49")
    for priority, (name, rewrite) in enumerate({"a": "", "b": "49" + ANSWERED}.items(), start=1):
        trunk = Trunk.objects.create(
            name=name,
            dial_string=f"PJSIP/{{number}}@carrier-{name}",
            ring_timeout_s=2,
            rewrite_match="^.*$" if rewrite else "",
            rewrite_replace=rewrite,
        )
        RouteTarget.objects.create(route=route, trunk=trunk, priority=priority)
    return route


def tried(cdr: Cdr) -> list[tuple[str, str, int | None]]:
    """Each attempt: trunk, outcome, SIP code."""
    attempts = cdr.attempts.order_by("number")
    return [(each.trunk, each.outcome, each.sip_code) for each in attempts]


@pytest.mark.parametrize("code", TABLE)
def test_the_table_of_causes_says_whether_the_next_trunk_is_tried(
    ringmaster: Ringmaster,
    two_carriers: Route,
    caller: Caller,
    carrier: Carrier,
    carrier_b: Carrier,
    code: int,
) -> None:
    disposition, hunts_on, heard = TABLE[code]

    calls = caller.call(f"49{code}")

    assert carrier.seen(f"49{code}") == ["INVITE", f"REFUSED {code}"]
    cdr = ringmaster.cdr()
    assert tried(cdr)[0] == ("a", "dialled", code)
    if hunts_on:
        assert calls.finals == [200]
        assert tried(cdr)[1:] == [("b", "dialled", 200)]
        assert (cdr.disposition, cdr.trunk, cdr.callee_sent) == ("answered", "b", "49200")
        assert cdr.callee_normalised == f"49{code}"
    else:
        assert calls.finals == [heard]
        assert tried(cdr)[1:] == []
        assert (cdr.disposition, cdr.trunk, cdr.sip_code) == (disposition, "a", code)
        assert carrier_b.all_seen() == []


@pytest.mark.parametrize("code", [code for code, (_, hunts_on, _) in TABLE.items() if hunts_on])
def test_the_caller_hears_the_last_real_cause_when_no_trunk_is_left(
    ringmaster: Ringmaster, two_carriers: Route, caller: Caller, carrier: Carrier, code: int
) -> None:
    disposition, _, heard = TABLE[code]
    RouteTarget.objects.filter(trunk__name="b").delete()
    two_carriers.save()

    calls = caller.call(f"49{code}")

    assert calls.finals == [heard]
    cdr = ringmaster.cdr()
    assert tried(cdr) == [("a", "dialled", code)]
    assert (cdr.disposition, cdr.sip_code) == (disposition, code)


@pytest.mark.parametrize("code", [302, 403, 404, 408, 480, 486, 487, 488, 500, 503, 603])
def test_what_has_rung_is_never_hunted_on_from(
    ringmaster: Ringmaster,
    two_carriers: Route,
    caller: Caller,
    carrier: Carrier,
    carrier_b: Carrier,
    code: int,
) -> None:
    calls = caller.call(f"491{code}")

    assert calls.seen[0].provisional == (180,)
    assert calls.finals[0] not in (None, 200)
    assert not 300 <= calls.finals[0] < 400
    assert tried(ringmaster.cdr()) == [("a", "dialled", code)]
    assert carrier_b.all_seen() == []


@pytest.mark.parametrize("number", ["491000", "49100"])
def test_a_trunk_that_never_rings_is_given_up_for_the_next(
    ringmaster: Ringmaster,
    two_carriers: Route,
    caller: Caller,
    carrier: Carrier,
    carrier_b: Carrier,
    number: str,
) -> None:
    calls = caller.call(number)

    assert calls.finals == [200]
    first, second = ringmaster.cdr().attempts.order_by("number")
    assert (first.trunk, first.outcome, first.reason) == ("a", "dialled", "no answer within 2 s")
    assert (second.trunk, second.sip_code) == ("b", 200)


def test_a_trunk_that_rings_out_is_not_followed_by_the_next(
    ringmaster: Ringmaster,
    two_carriers: Route,
    caller: Caller,
    carrier: Carrier,
    carrier_b: Carrier,
) -> None:
    calls = caller.call("49180")

    assert calls.finals == [480]
    assert [each[0] for each in tried(ringmaster.cdr())] == ["a"]
    assert carrier_b.all_seen() == []


def test_nobody_is_tried_for_a_caller_who_has_left(
    ringmaster: Ringmaster,
    two_carriers: Route,
    caller: Caller,
    carrier: Carrier,
    carrier_b: Carrier,
) -> None:
    """The first trunk is silent, the caller gives up: the second is not rung for nobody."""
    calls = caller.call("49100", cancel_after_ms=300)

    assert calls.finals == [487]
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by) == ("cancelled", "caller")
    assert [each[0] for each in tried(cdr)] == ["a"]
    assert carrier_b.all_seen() == []


def test_a_trunk_that_is_off_is_passed_over_and_recorded(
    ringmaster: Ringmaster,
    two_carriers: Route,
    caller: Caller,
    carrier: Carrier,
    carrier_b: Carrier,
) -> None:
    trunk = Trunk.objects.get(name="a")
    trunk.enabled = False
    trunk.save()

    assert caller.call("49503").finals == [200]

    assert tried(ringmaster.cdr()) == [("a", "skipped_disabled", None), ("b", "dialled", 200)]
    assert carrier.all_seen() == []


def test_a_trunk_that_has_no_form_of_the_number_is_passed_over_and_recorded(
    ringmaster: Ringmaster,
    two_carriers: Route,
    caller: Caller,
    carrier: Carrier,
    carrier_b: Carrier,
) -> None:
    trunk = Trunk.objects.get(name="a")
    trunk.strip_digits = 15
    trunk.save()

    assert caller.call("49200").finals == [200]

    first, second = ringmaster.cdr().attempts.order_by("number")
    assert (first.outcome, second.outcome) == ("skipped_number", "dialled")
    assert first.reason.startswith("trunk a cannot be sent this number")
