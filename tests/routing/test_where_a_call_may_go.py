"""Who may call, and by which trunks: the choice over an account's routes, as one table."""

from collections import Counter

import pytest

from calls.routing.choice import (
    AccountRow,
    CallFacts,
    Plan,
    Refusal,
    RouteRow,
    TargetRow,
    choose,
    endpoint_of,
    normalise,
    prefixes_of,
)
from calls.routing.policy import Policy

AT_MS = 1_795_000_000_000


def trunk(name="a", **changes):
    facts = {
        "dial_string": "PJSIP/{number}@" + name,
        "enabled": True,
        "ring_timeout_s": 60,
        "strip_digits": 0,
        "add_prefix": "",
        "caller_id": "",
        "priority": 1,
        "weight": 100,
    }
    return TargetRow(trunk=name, **(facts | changes))


def route(prefix, *targets, own=False, block=False):
    rows = tuple(trunk(each) if isinstance(each, str) else each for each in targets)
    return RouteRow(1, prefix, own, block, rows)


def account(*routes, code="acme", enabled=True, max_call_s=None):
    return AccountRow(code, enabled, max_call_s, routes)


def ask(*accounts, dialled="49301", caller="442079", keys=("acme", "alice"), call="n:1"):
    policy = Policy(local_contexts=frozenset({"monkeys"}))
    return choose(CallFacts(call, dialled, caller, keys, AT_MS), accounts, 7200, policy=policy)


def gist(found):
    """A plan as its endpoints, a refusal as its disposition and cause."""
    if isinstance(found, Plan):
        return [target.endpoint for target in found.targets if not target.skipped]
    return (str(found.disposition), found.cause)


@pytest.mark.parametrize(
    ("routes", "dialled", "expected"),
    [
        # The longest prefix wins.
        ([route("49", "a"), route("4930", "b")], "49301", ["PJSIP/49301@b"]),
        ([route("4930", "b"), route("49", "a")], "49301", ["PJSIP/49301@b"]),
        ([route("", "d"), route("4", "a")], "49301", ["PJSIP/49301@a"]),
        ([route("", "d")], "49301", ["PJSIP/49301@d"]),
        ([route("49301", "whole")], "49301", ["PJSIP/49301@whole"]),
        # A route of the account's own wins over all accounts', at the same length only.
        ([route("49", "all"), route("49", "own", own=True)], "49301", ["PJSIP/49301@own"]),
        ([route("49", "own", own=True), route("49", "all")], "49301", ["PJSIP/49301@own"]),
        ([route("4930", "all"), route("49", "own", own=True)], "49301", ["PJSIP/49301@all"]),
        # Blocked.
        ([route("49", block=True)], "49301", ("blocked", 21)),
        ([route("49", "a"), route("4930", block=True)], "49301", ("blocked", 21)),
        ([route("49", block=True), route("4930", "a")], "49301", ["PJSIP/49301@a"]),
        ([route("49", "a"), route("49", own=True, block=True)], "49301", ("blocked", 21)),
        ([route("49", block=True), route("49", "a", own=True)], "49301", ["PJSIP/49301@a"]),
        ([route("49", "a", block=True)], "49301", ("blocked", 21)),
        # Nowhere to go.
        ([], "49301", ("no_route", 1)),
        ([route("49")], "49301", ("no_route", 1)),
        # Disabled trunks are skipped and do not end the hunt.
        ([route("49", trunk("a", enabled=False))], "49301", ("congestion", 34)),
        (
            [route("49", trunk("a", enabled=False), trunk("b", priority=2))],
            "49301",
            ["PJSIP/49301@b"],
        ),
        # Priorities, in whatever order the rows come.
        (
            [route("49", trunk("c", priority=3), trunk("a", priority=1), trunk("b", priority=2))],
            "49301",
            ["PJSIP/49301@a", "PJSIP/49301@b", "PJSIP/49301@c"],
        ),
        (
            [route("49", trunk("b", priority=2, weight=1000), trunk("a", priority=1, weight=1))],
            "49301",
            ["PJSIP/49301@a", "PJSIP/49301@b"],
        ),
        # Rewrites.
        ([route("49", trunk(strip_digits=2))], "49301", ["PJSIP/301@a"]),
        ([route("49", trunk(add_prefix="00"))], "49301", ["PJSIP/0049301@a"]),
        ([route("49", trunk(strip_digits=2, add_prefix="0"))], "49301", ["PJSIP/0301@a"]),
        ([route("49", trunk(add_prefix="+"))], "+49301", ["PJSIP/+49301@a"]),
        (
            [route("49", trunk(dial_string="Local/{number}@monkeys"))],
            "49301",
            ["Local/49301@monkeys"],
        ),
        # A leading + is no part of the number that routes are matched with.
        ([route("49", "a")], "+49301", ["PJSIP/49301@a"]),
        # What is no telephone number is refused before any route is looked at.
        ([route("", "a")], "", ("invalid_number", 28)),
        ([route("", "a")], "+", ("invalid_number", 28)),
        ([route("", "a")], "49301@evil", ("invalid_number", 28)),
        ([route("", "a")], "49301/evil", ("invalid_number", 28)),
        ([route("", "a")], "49301&PJSIP/666@a", ("invalid_number", 28)),
        ([route("", "a")], "49301,30,g", ("invalid_number", 28)),
        ([route("", "a")], "49301^1", ("invalid_number", 28)),
        ([route("", "a")], "49 301", ("invalid_number", 28)),
        ([route("", "a")], "49301\n", ("invalid_number", 28)),
        ([route("", "a")], "\u0664\u0669\u0663", ("invalid_number", 28)),
        ([route("", "a")], "49+301", ("invalid_number", 28)),
        ([route("", "a")], "{number}", ("invalid_number", 28)),
        ([route("", "a")], "${SHELL(id)}", ("invalid_number", 28)),
        ([route("", "a")], "4" * 33, ("invalid_number", 28)),
        ([route("", "a")], "4" * 200, ("invalid_number", 28)),
        ([route("", "a")], "4" * 16, ("invalid_number", 28)),
        ([route("", "a")], "4" * 15, ["PJSIP/" + "4" * 15 + "@a"]),
        ([route("", "a")], "abcd", ("invalid_number", 28)),
        ([route("", "a")], "ABCD*#", ("invalid_number", 28)),
    ],
)
def test_the_routes_decide(routes, dialled, expected):
    assert gist(ask(account(*routes), dialled=dialled)) == expected


@pytest.mark.parametrize(
    ("accounts", "keys", "expected"),
    [
        ([account(route("", "a"))], ("acme",), "acme"),
        ([account(route("", "a"), code="alice")], ("acme", "alice"), "alice"),
        # The accountcode comes before the endpoint, in whatever order the rows come.
        (
            [account(route("", "a"), code="alice"), account(route("", "a"))],
            ("acme", "alice"),
            "acme",
        ),
        ([], ("acme", "alice"), ("unauthorized", 21)),
        ([], (), ("unauthorized", 21)),
        ([account(route("", "a"), enabled=False)], ("acme",), ("unauthorized", 21)),
        # A disabled account is not evaded through the endpoint's name.
        (
            [account(route("", "a"), enabled=False), account(route("", "a"), code="alice")],
            ("acme", "alice"),
            ("unauthorized", 21),
        ),
    ],
)
def test_the_account_decides_who_may_call(accounts, keys, expected):
    found = ask(*accounts, keys=keys)

    assert (found.account if isinstance(found, Plan) else gist(found)) == expected


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (("acme", "alice"), "no account has the code 'acme' or 'alice'"),
        ((), "the caller's channel names no account"),
        (("x" * 500,), f"no account has the code {'x' * 64!r}"),
        (("a\nb",), "no account has the code 'a\\nb'"),
    ],
)
def test_a_refusal_says_why_in_words_that_a_caller_cannot_misuse(keys, reason):
    assert ask(keys=keys).reason == reason


def test_a_hostile_number_is_shown_shortened_and_escaped():
    found = ask(account(route("", "a")), dialled="<script>\n" + "9" * 300)

    assert isinstance(found, Refusal)
    assert "\n" not in found.reason
    assert len(found.reason) < 200
    assert found.callee == ""


@pytest.mark.parametrize(
    ("received", "own", "shown"),
    [
        ("+44 20", "", ""),
        ("+442079", "", "442079"),
        ("442079", "4930", "4930"),
        ('"Eve" <sip:eve@evil>', "", ""),
        ("4420\r\nX-Evil: 1", "", ""),
        ("", "", ""),
        ("anonymous", "4930", "4930"),
    ],
)
def test_only_a_number_or_the_trunks_own_is_shown_to_b(received, own, shown):
    policy = "fixed" if own else "pass"
    found = ask(account(route("", trunk(caller_id=own, caller_id_policy=policy))), caller=received)

    assert found.targets[0].caller == shown


def test_the_limit_is_the_accounts_or_the_default():
    assert ask(account(route("", "a"), max_call_s=60)).max_call_s == 60
    assert ask(account(route("", "a"))).max_call_s == 7200


def test_a_plan_names_its_route_and_prefix():
    found = ask(account(route("4930", "a", own=True)))
    default = ask(account(route("", "a")))

    assert (found.prefix, found.route) == ("4930", "4930 (acme)")
    assert (default.prefix, default.route) == ("", "default (all)")


def test_a_congested_route_says_which_trunks_it_skipped():
    found = ask(account(route("49", trunk("a", enabled=False), trunk("b", enabled=False))))

    assert [target.skipped for target in found.targets] == ["disabled", "disabled"]
    assert sorted(found.reason.removeprefix("route 49 (all): ").split(", ")) == [
        "a is disabled",
        "b is disabled",
    ]


def first_of(*targets, calls):
    rows = account(route("", *targets))
    return Counter(ask(rows, call=f"n:{number}").targets[0].trunk for number in range(calls))


def test_weights_share_the_calls_of_a_priority():
    shares = first_of(trunk("a", weight=70), trunk("b", weight=30), calls=2000)

    assert abs(shares["a"] / 2000 - 0.70) < 0.03


def test_what_follows_the_first_draw_is_drawn_by_weight_too():
    rows = account(route("", trunk("a", weight=1), trunk("b", weight=70), trunk("c", weight=30)))
    plans = [ask(rows, call=f"n:{number}") for number in range(3000)]
    after_b = [plan.targets[1].trunk for plan in plans if plan.targets[0].trunk == "b"]

    assert abs(after_b.count("c") / len(after_b) - 30 / 31) < 0.03


def test_the_same_call_goes_the_same_way_whenever_it_is_asked_for():
    rows = [trunk(name) for name in "abcdef"]
    one = ask(account(route("", *rows)), call="n:7")
    again = ask(account(route("", *reversed(rows))), call="n:7")

    assert one == again
    assert len(first_of(*rows, calls=200)) == 6


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("PJSIP/alice-0000002a", "alice"),
        ("PJSIP/alice-home-0000002a", "alice-home"),
        ("Local/1@ctx-00000001;1", "1@ctx"),
        ("weird", ""),
        ("", ""),
    ],
)
def test_the_endpoint_is_read_from_the_channels_name(channel, endpoint):
    assert endpoint_of(channel) == endpoint


def test_a_number_has_every_prefix_up_to_the_longest_a_route_may_have():
    assert prefixes_of("123") == ("", "1", "12", "123")
    assert prefixes_of("9" * 32)[-1] == "9" * 15


def test_a_number_is_normalised_once_and_stays_so():
    assert normalise("+49301") == normalise(normalise("+49301")) == "49301"
    assert normalise("++49") is None
