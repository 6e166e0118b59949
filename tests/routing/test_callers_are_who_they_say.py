"""The caller's number: blocked, withheld, malformed, somebody else's, or impossible to check."""

import pytest

from calls.routing.numbers import NumberingPlan
from tests.routing.configured import account, ask, blocked, gist, route, trunk

GERMANY = NumberingPlan("49", "00", "0")
THROUGH = ["PJSIP/49301@a"]
REFUSED = ("blocked", 21)
BLOCKED = blocked("491155", "caller")
NOBODY = blocked("", "none", note="no number")

MALFORMED = [
    "",
    "491155x",
    "49-1155",
    "49 1155 1",
    "+00491155001",
    "0000491155001",
    "+4901155001",
    "anonymous",
    "Restricted",
    "alice",
    "*491155001",
    "491155001;ext=1",
    "\uff14\uff19\uff11\uff11\uff15\uff15",
    "4911",
    "4" * 16,
    "' OR 1=1",
]


@pytest.mark.parametrize("caller", ["491155001", "+491155001", "00491155001", "01155001"])
def test_a_blocked_caller_is_blocked_however_its_number_is_written(caller):
    rows = account(route("", "a"), numbering=GERMANY, blocks=(BLOCKED,))

    assert gist(ask(rows, caller=caller)) == REFUSED


@pytest.mark.parametrize("caller", MALFORMED)
def test_an_entry_blocks_callers_without_a_number_and_with_one_that_is_none(caller):
    rows = account(route("", "a"), numbering=GERMANY, blocks=(BLOCKED, NOBODY))

    found = ask(rows, caller=caller)

    assert gist(found) == REFUSED
    assert found.reason == "blocklist entry caller without a number (all): no number"
    assert gist(ask(account(route("", "a"), numbering=GERMANY), caller=caller)) == THROUGH


def test_that_entry_blocks_nobody_who_has_a_number():
    rows = account(route("", "a"), blocks=(NOBODY,))

    assert gist(ask(rows, caller="442079")) == THROUGH


@pytest.mark.parametrize("caller", MALFORMED)
def test_what_is_no_number_is_shown_to_no_trunk(caller):
    found = ask(account(route("", "a"), numbering=GERMANY, caller_id="4930100"), caller=caller)

    assert (found.caller, found.targets[0].caller) == ("", "")


@pytest.mark.parametrize(
    ("caller", "shown", "noted"),
    [
        ("4930100", "4930100", False),
        ("030100", "4930100", False),
        ("+49301009", "49301009", False),
        ("4930200", "4930100", True),
        ("+12025550123", "4930100", True),
        # Who shows nobody's number claims none.
        ("", "", False),
        ("anonymous", "", False),
    ],
)
def test_a_number_that_the_account_may_not_show_is_replaced_by_its_own(caller, shown, noted):
    rows = account(
        route("", "a"), numbering=GERMANY, caller_id="+4930100", allowed_callers=("493010", "4989")
    )

    found = ask(rows, caller=caller)

    assert (found.caller, found.targets[0].caller) == (shown, shown)
    assert bool(found.note) is noted
    if noted:
        claimed = caller.removeprefix("+")
        assert found.note == (
            f"the caller's number {claimed} is none of account acme's: 4930100 is shown"
        )


def test_an_account_without_a_number_of_its_own_shows_none_instead():
    rows = account(route("", trunk()), allowed_callers=("4989",))

    found = ask(rows, caller="4930200")

    assert found.targets[0].caller == ""
    assert found.note.endswith("none is shown")


def test_a_blocked_number_is_blocked_even_where_it_would_be_replaced():
    rows = account(route("", "a"), blocks=(BLOCKED,), allowed_callers=("4989",))

    assert gist(ask(rows, caller="491155001")) == REFUSED


@pytest.mark.parametrize(
    ("refuses", "checked", "outcome"),
    [
        (True, False, ("congestion", 41)),
        (True, True, THROUGH),
        (False, False, THROUGH),
    ],
)
def test_what_cannot_be_checked_is_refused_where_the_account_says_so(refuses, checked, outcome):
    rows = account(route("", "a"), refuse_unchecked=refuses)

    assert gist(ask(rows, caller_checked=checked)) == outcome
