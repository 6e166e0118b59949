"""Routes that come and go, blocklists and shown numbers: the choice at one moment, as tables."""

import pytest

from tests.routing.configured import MONDAY_NOON, account, ask, at, blocked, gist, route, trunk

A = ["PJSIP/49301@a"]
B = ["PJSIP/49301@b"]
NONE = ("no_route", 1)
BLOCKED = ("blocked", 21)
OFFICE = "mon-fri 08:00-18:00"


@pytest.mark.parametrize(
    ("routes", "now", "expected"),
    [
        # A route that does not hold is as if it were not there: a shorter prefix may match.
        ([route("49", "a", enabled=False)], "2026-11-23 12:00", NONE),
        ([route("", "b"), route("49", "a", enabled=False)], "2026-11-23 12:00", B),
        ([route("", "b"), route("49", enabled=False, block=True)], "2026-11-23 12:00", B),
        ([route("49", "b"), route("49", "a", own=True, enabled=False)], "2026-11-23 12:00", B),
        # Valid from its first instant until before its last.
        ([route("49", "a", valid_from_ms=at("2026-11-23 12:00"))], "2026-11-23 11:59", NONE),
        ([route("49", "a", valid_from_ms=at("2026-11-23 12:00"))], "2026-11-23 12:00", A),
        ([route("49", "a", valid_until_ms=at("2026-11-23 12:00"))], "2026-11-23 11:59", A),
        ([route("49", "a", valid_until_ms=at("2026-11-23 12:00"))], "2026-11-23 12:00", NONE),
        (
            [
                route("49", "a", valid_until_ms=at("2026-12-01")),
                route("4", "b", valid_from_ms=at("2026-12-01")),
            ],
            "2026-11-30 23:59",
            A,
        ),
        (
            [
                route("49", "a", valid_until_ms=at("2026-12-01")),
                route("4", "b", valid_from_ms=at("2026-12-01")),
            ],
            "2026-12-01 00:00",
            B,
        ),
        # Within its schedule.
        ([route("49", "a", schedule=OFFICE), route("", "b")], "2026-11-23 08:00", A),
        ([route("49", "a", schedule=OFFICE), route("", "b")], "2026-11-23 18:00", B),
        ([route("49", "a", schedule=OFFICE), route("", "b")], "2026-11-28 12:00", B),
        (
            [route("49", block=True, schedule="sat-sun"), route("", "b")],
            "2026-11-28 12:00",
            BLOCKED,
        ),
        ([route("49", block=True, schedule="sat-sun"), route("", "b")], "2026-11-27 12:00", B),
        # All of it must hold.
        (
            [route("49", "a", schedule=OFFICE, valid_from_ms=at("2026-11-24"))],
            "2026-11-23 12:00",
            NONE,
        ),
    ],
)
def test_the_longest_prefix_that_holds_now_wins(routes, now, expected):
    assert gist(ask(account(*routes), at_ms=at(now))) == expected


@pytest.mark.parametrize(
    ("zone", "now", "open_now"),
    [
        ("UTC", "2026-11-23 07:59", False),
        ("UTC", "2026-11-23 08:00", True),
        # Paris is an hour ahead in winter and two in summer; the schedule is on its wall.
        ("Europe/Paris", "2026-11-23 07:00", True),
        ("Europe/Paris", "2026-11-23 17:00", False),
        ("Europe/Paris", "2026-07-20 06:00", True),
        ("Europe/Paris", "2026-07-20 05:59", False),
        # Sunday evening here is Monday morning there.
        ("Pacific/Auckland", "2026-11-22 19:00", True),
        ("Pacific/Auckland", "2026-11-22 18:59", False),
        ("America/New_York", "2026-11-23 12:59", False),
        ("America/New_York", "2026-11-23 13:00", True),
    ],
)
def test_a_schedule_is_read_in_the_accounts_time_zone(zone, now, open_now):
    found = ask(account(route("49", "a", schedule=OFFICE), time_zone=zone), at_ms=at(now))

    assert gist(found) == (A if open_now else NONE)


@pytest.mark.parametrize(
    ("schedule", "zone", "reason"),
    [
        ("never", "UTC", "route 49 (all) has a schedule that cannot be read: 'never' is no day"),
        (OFFICE, "Mars/Base", "account acme has a time zone that is not known here: 'Mars/Base'"),
        (OFFICE, "../x", "account acme has a time zone that is not known here: '../x'"),
    ],
)
def test_what_cannot_be_read_refuses_the_call_rather_than_pass_over_a_block(schedule, zone, reason):
    block = route("49", block=True, schedule=schedule)

    found = ask(account(block, route("", "a"), time_zone=zone))

    assert gist(found) == ("congestion", 41)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("blocks", "caller", "expected"),
    [
        ((), "442079", A),
        ((blocked("4930"),), "442079", BLOCKED),
        ((blocked("49301"),), "442079", BLOCKED),
        ((blocked("493012"),), "442079", A),
        ((blocked("4930", own=True),), "442079", BLOCKED),
        ((blocked("4930", enabled=False),), "442079", A),
        ((blocked("4930", enabled=False), blocked("49")), "442079", BLOCKED),
        ((blocked("44", "caller"),), "442079", BLOCKED),
        ((blocked("44", "caller"),), "+442079", BLOCKED),
        ((blocked("44", "caller"),), "00442079", BLOCKED),
        ((blocked("44", "caller", enabled=False),), "442079", A),
        ((blocked("44", "caller"),), "4320", A),
        ((blocked("44", "caller"),), "", A),
        # An entry is about its own side only.
        ((blocked("49", "caller"),), "442079", A),
        ((blocked("44"),), "442079", A),
    ],
)
def test_blocklists_refuse_before_any_route_is_looked_at(blocks, caller, expected):
    assert gist(ask(account(route("49", "a"), blocks=blocks), caller=caller)) == expected


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ((blocked("49", note="premium"),), "blocklist entry callee 49 (all): premium"),
        ((blocked("49", own=True),), "blocklist entry callee 49 (acme)"),
        ((blocked("49"), blocked("4930")), "blocklist entry callee 4930 (all)"),
        ((blocked("49"), blocked("49", own=True)), "blocklist entry callee 49 (acme)"),
        ((blocked("442079", "caller"), blocked("49")), "blocklist entry callee 49 (all)"),
        ((blocked("442079", "caller"),), "blocklist entry caller 442079 (all)"),
    ],
)
def test_a_blocked_call_says_which_entry_blocks_it(blocks, reason):
    assert ask(account(route("49", "a"), blocks=blocks)).reason == reason


def test_a_disabled_account_is_unauthorized_before_it_is_blocked():
    assert gist(ask(account(enabled=False, blocks=(blocked("49"),)))) == ("unauthorized", 21)


@pytest.mark.parametrize(
    ("policy", "of_trunk", "of_account", "received", "shown"),
    [
        ("pass", "", "", "+442079", "442079"),
        ("pass", "", "4955", "442079", "442079"),
        ("pass", "", "", "", ""),
        ("fixed", "4930", "4955", "442079", "4930"),
        ("account", "", "4955", "442079", "4955"),
        ("account", "4930", "4955", "442079", "4955"),
        ("account", "4930", "", "442079", "4930"),
        ("account", "", "", "442079", ""),
        ("anonymous", "", "4955", "442079", ""),
    ],
)
def test_the_trunks_policy_says_whose_number_is_shown(
    policy, of_trunk, of_account, received, shown
):
    target = trunk(caller_id_policy=policy, caller_id=of_trunk)

    found = ask(account(route("49", target), caller_id=of_account), caller=received)

    assert found.targets[0].caller == shown


def test_a_blocking_route_skips_no_trunk():
    """Trunks of a route that blocks are not tried and not skipped: they are not part of it."""
    found = ask(account(route("49", "a", block=True)), at_ms=MONDAY_NOON)

    assert (gist(found), found.targets) == (BLOCKED, ())
