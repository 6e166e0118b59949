"""Each trouble is a sentence that says what to do; without one there is none."""

import pytest

from calls.admin.troubles import LimitUse, troubles
from calls.limits.health import TrunkState
from calls.limits.rules import Health
from calls.store.heartbeats import Process
from calls.store.ledger_light import Light
from calls.store.pulse import Pulse
from cdr.recent import Recent

RECENT = Recent(300)
WELL = tuple(
    Process(kind, "host", 1, 0, note)
    for kind, note in (("bridge", "pbx1 listens"), ("calls", ""), ("records", ""))
)


def felt(**changes):
    facts = {"up": 0, "overdue_ms": 0, "records": 0, "lag_ms": 0, "rejected": 0}
    return Pulse(**(facts | {"processes": WELL, "now": RECENT, "hour": RECENT} | changes))


def said(pulse=None, trunks=(), limits=()):
    return [trouble.sentence for trouble in troubles(pulse or felt(), trunks, limits)]


def test_nothing_is_wrong_where_nothing_is():
    up = ("carrier-a", Health.AUTO, TrunkState())
    assert said(trunks=[up, ("carrier-b", Health.AUTO, None)]) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"processes": WELL[1:]}, "No ARI bridge runs"),
        ({"processes": WELL[:1] + WELL[2:]}, "No calls worker runs"),
        ({"processes": WELL[:2]}, "No records worker runs"),
        ({"overdue_ms": 4_000}, "A call has waited 4 s for a worker"),
        ({"records": 7, "lag_ms": 12_000}, "7 call records wait for the database"),
        ({"rejected": 1}, "1 call record could not be written"),
        ({"light": Light(0, False, "The ledger does not balance: x.", 5)}, "The ledger does not"),
    ],
)
def test_what_redis_tells_is_told(changes, words):
    (sentence,) = said(felt(**changes))
    assert sentence.startswith(words)


def test_a_ledger_that_balances_is_no_news():
    assert said(felt(light=Light(0, True, "All well.", 5))) == []


def test_a_node_to_which_only_standbys_are_left_is_told():
    standby = Process("bridge", "host", 1, 0, "pbx1 listens, pbx2 stands by")
    assert said(felt(processes=(standby, *WELL[1:]))) == [
        "Nobody is connected to node pbx2: its calls are not heard."
    ]


@pytest.mark.parametrize(
    ("by_hand", "state", "words"),
    [
        (Health.AUTO, TrunkState(Health.DOWN, 1, 19, 20), "Trunk a is down: 19 of 20 attempts"),
        (Health.AUTO, TrunkState(Health.DEGRADED, 1, 4, 10), "Trunk a is degraded: 4 of 10"),
        (Health.DOWN, None, "Trunk a is set down by hand"),
    ],
)
def test_a_trunk_that_is_not_up_is_told(by_hand, state, words):
    (sentence,) = said(trunks=[("a", by_hand, state)])
    assert sentence.startswith(words)


def test_a_reached_limit_is_told_and_a_nearly_reached_one_is_not():
    uses = [LimitUse("all calls: 9 cps", "9 of 9", 100, True), LimitUse("b", "8 of 9", 89, True)]
    assert said(limits=uses) == [
        "The limit all calls: 9 cps is reached: calls beyond it are refused."
    ]


def test_what_is_severe_comes_first():
    observed = LimitUse("x", "2 of 1", 200, False)
    found = troubles(felt(processes=()), [], [observed])
    assert [trouble.severe for trouble in found] == [True, True, True, False]
