import pytest

from calls.canary.course import begin
from calls.clock import wall_clock_ms
from calls.models import Account, Canary, CanaryTarget, Route, RouteTarget, Trunk
from cdr.moments import moment_of
from cdr.record import Disposition
from cdr.writer import store
from tests.cdr.made_up import record


@pytest.fixture
def trunks(db):
    Account.objects.create(code="acme", name="Acme", allowed_prefixes="")
    return {
        name: Trunk.objects.create(name=name, dial_string="PJSIP/{number}@" + name)
        for name in ("old", "new")
    }


@pytest.fixture
def route(trunks):
    route = Route.objects.create(prefix="49")
    RouteTarget.objects.create(route=route, trunk=trunks["old"])
    return route


@pytest.fixture
def canary(route, trunks):
    """One that runs since an hour ago."""
    canary = Canary.objects.create(
        route=route, share=10, enough=50, by="alice", stage_at=moment_of(hour_ago())
    )
    CanaryTarget.objects.create(canary=canary, trunk=trunks["new"])
    begin(canary)
    return canary


def hour_ago():
    return wall_clock_ms() - 3_600_000


@pytest.fixture
def made(canary):
    """Makes calls of an arm: ``made("new", 20, answered=3)``."""
    count = 0

    def made(arm, calls, answered, at_ms=None, wait_ms=800, mos=4.2, **facts):
        nonlocal count
        start = hour_ago() + 60_000 if at_ms is None else at_ms
        for number in range(calls):
            count += 1
            talked = number < answered
            store(
                [
                    record(
                        f"pbx1:{count}",
                        started_ms=start,
                        ringing_ms=start + wait_ms if talked else None,
                        answered_ms=start + 5_000 if talked else None,
                        ended_ms=start + 60_000 if talked else start + 1_000,
                        disposition=Disposition.ANSWERED if talked else Disposition.CONGESTION,
                        callee_mos=mos if talked else None,
                        canary=f"{canary.pk}:{arm}",
                        **facts,
                    )
                ]
            )

    return made
