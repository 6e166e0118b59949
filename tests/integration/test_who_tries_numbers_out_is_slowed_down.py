"""Fifty calls to numbers that have no route: what they cost, and what they leave."""

import pytest
from django.db.models import Sum

from cdr.models import Cdr
from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.alone

SCANNED = 100


def test_a_scan_is_refused_at_the_door_and_counted_whole(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")

    calls = caller.call([f"4477009{n:05}" for n in range(SCANNED)], count=SCANNED, rate=50)

    assert set(calls.finals) == {404, 480}
    assert calls.finals.count(480) > SCANNED / 2
    wait_for(
        lambda: _counted() == SCANNED,
        timeout_s=10,
        failure=lambda: f"{_counted()} calls in {Cdr.objects.count()} records",
    )
    # Some two seconds' worth, of five looked at and one line for the rest, and what came before
    # the bridge had seen that there were too many.
    assert Cdr.objects.count() < SCANNED / 2
    assert Cdr.objects.filter(calls__gt=1, disposition="limited").exists()
    # A second later the account is served as before.
    wait_for(
        lambda: (
            not ringmaster.redis.exists("ringmaster:refusing")
            or not ringmaster.redis.zcount("ringmaster:refusing", _now_ms(ringmaster), "+inf")
        ),
        timeout_s=10,
        failure=lambda: "still refused",
    )
    assert caller.call("49200").finals in ([200], [480])
    wait_for(
        lambda: caller.call("49200").finals == [200],
        timeout_s=10,
        failure=lambda: "not served again",
    )
    ringmaster.assert_nothing_left()


def _counted() -> int:
    return Cdr.objects.aggregate(calls=Sum("calls"))["calls"] or 0


def _now_ms(ringmaster: Ringmaster) -> int:
    seconds, micros = ringmaster.redis.time()
    return int(seconds * 1000 + micros // 1000)
