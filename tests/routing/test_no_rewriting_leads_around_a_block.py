"""Blocklist, blocking routes, allowed prefixes and prefix limits: for the number dialled, and for
every number that a trunk may read in what it is sent."""

import pytest

from calls.limits.rules import LimitRow, Metric, Scope, bind, guard
from calls.routing.choice import Plan, Unproven
from calls.routing.numbers import NumberingPlan
from calls.routing.policy import Policy
from tests.routing.configured import account, ask, blocked, gist, route, trunk

GERMANY = NumberingPlan("49", "00", "0", ("110", "112", "116xxx"))
BLOCK = blocked("4490")
REFUSED = ("blocked", 21)
NO_NUMBER = ("invalid_number", 28)


@pytest.mark.parametrize("plan", [NumberingPlan(), GERMANY])
@pytest.mark.parametrize(
    ("dialled", "outcome"),
    [
        ("449012345", REFUSED),
        ("+449012345", REFUSED),
        ("00449012345", REFUSED),
        ("+00449012345", NO_NUMBER),
        ("0000449012345", NO_NUMBER),
        ("000449012345", NO_NUMBER),
        ("+4409012345", NO_NUMBER),
        ("004400009012345", NO_NUMBER),
        ("*449012345", NO_NUMBER),
        ("449012345#", NO_NUMBER),
        ("A449012345", NO_NUMBER),
        ("44901234567890123", NO_NUMBER),
        # A carrier in Italy that takes its country code off is left with 00 44 90…
        ("+3900449012345", NO_NUMBER),
        ("003900449012345", NO_NUMBER),
        ("+470044901234", NO_NUMBER),
        ("+2250044901234", NO_NUMBER),
        ("+8810044901234", NO_NUMBER),
        ("+78104490123", NO_NUMBER),
    ],
)
def test_no_way_of_dialling_leads_around_a_blocklist_entry(plan, dialled, outcome):
    rows = account(route("", "a"), numbering=plan, blocks=(BLOCK,))

    assert gist(ask(rows, dialled=dialled)) == outcome


def test_italian_numbers_with_their_0_and_tajik_ones_with_00_are_numbers_still():
    rows = account(route("", "a"), blocks=(BLOCK,))

    assert gist(ask(rows, dialled="+390612345678")) == ["PJSIP/390612345678@a"]
    assert gist(ask(rows, dialled="+992001234567")) == ["PJSIP/992001234567@a"]


REWRITINGS = [
    {"route_strip_digits": 2},
    {"strip_digits": 2},
    {"route_strip_digits": 1, "strip_digits": 1},
    {"strip_digits": 2, "add_prefix": "+"},
    {"strip_digits": 2, "add_prefix": "00"},
    {"strip_digits": 2, "add_prefix": "0000"},
    {"strip_digits": 2, "add_prefix": "000"},
    {"strip_digits": 2, "add_prefix": "9#"},
    {"strip_digits": 2, "add_prefix": "*31#"},
    {"strip_digits": 2, "tech_prefix": "7799"},
    {"strip_digits": 2, "add_prefix": "00", "tech_prefix": "7799#"},
    {"strip_digits": 4, "add_prefix": "440"},
    {"rewrite_match": "^99", "rewrite_replace": ""},
    {"rewrite_match": "^99(.*)", "rewrite_replace": r"00\1"},
    {"rewrite_match": "^99(.*)", "rewrite_replace": r"A00\1"},
    # A trunk that reads national numbers reads those of its own country.
    {"strip_digits": 4, "country_code": "44", "national_prefix": ""},
    {"strip_digits": 4, "add_prefix": "0", "country_code": "44", "national_prefix": "0"},
    {"strip_digits": 4, "country_code": "44", "national_prefix": "0"},
    # What the dial string itself puts around the number is sent as well.
    {"strip_digits": 4, "dial_string": "PJSIP/+44{number}@a"},
    {"strip_digits": 4, "dial_string": "PJSIP/0044{number}@a"},
    {"strip_digits": 4, "dial_string": "PJSIP/44{number}@a"},
    {"strip_digits": 4, "dial_string": "PJSIP/44-{number}@a"},
    {"strip_digits": 4, "dial_string": "PJSIP/a/sip:+44{number}@192.0.2.1:5060"},
    {"strip_digits": 4, "dial_string": "PJSIP/a/sip:0044.{number}@192.0.2.1"},
    {"strip_digits": 4, "dial_string": "PJSIP/9#0044{number}#1@a"},
    {"strip_digits": 4, "dial_string": "PJSIP/{number}@a", "tech_prefix": "+44"},
    {"strip_digits": 4, "dial_string": "PJSIP/{number}@a", "tech_prefix": "0044"},
    {"strip_digits": 5, "dial_string": "PJSIP/+{number}@a", "tech_prefix": "449"},
]


@pytest.mark.parametrize("changes", REWRITINGS)
@pytest.mark.parametrize(
    "barrier",
    [
        {"blocks": (BLOCK,)},
        {"routes": (route("4490", block=True),)},
        {"routes": (route("4490", own=True, block=True), route("4490", "a"))},
    ],
)
def test_no_rewriting_leads_around_a_blocklist_entry_or_a_blocking_route(changes, barrier):
    rows = account(route("", trunk(**changes)))
    there = {"routes": (), **barrier}
    sent = account(*there.pop("routes"), **there)
    elsewhere = {"449012345": (sent,)}

    found = ask(rows, dialled="99449012345", elsewhere=elsewhere)

    assert gist(found) == REFUSED
    assert "a would be sent a number that is blocked" in found.reason
    assert gist(ask(rows, dialled="99449012345")) != REFUSED


def test_a_number_that_is_only_written_in_another_form_is_looked_up_once():
    """What costs a second query: another number, and not another way to write the same."""
    for changes in (
        {"add_prefix": "+"},
        {"add_prefix": "00"},
        {"strip_digits": 2, "add_prefix": "0"},
        {"tech_prefix": "7799#"},
        {"strip_digits": 2, "country_code": "49"},
    ):
        rows = account(route("49", trunk(**changes)), numbering=GERMANY)
        assert isinstance(ask(rows, dialled="4930200", others={}), Plan), changes


def test_the_number_as_it_is_routed_may_be_another_one_to_a_trunk_with_a_plan_of_its_own():
    """90 is Turkey's country code, and Spain's premium numbers begin so."""
    rows = account(route("", trunk(country_code="34")))
    elsewhere = {"34901234567": (account(blocks=(blocked("3490"),)),)}

    found = ask(rows, dialled="+901234567", elsewhere=elsewhere)

    assert gist(found) == REFUSED


@pytest.mark.parametrize(
    "plan", [NumberingPlan("34", "00", "", ("112",)), NumberingPlan("44", "00", "0", ("112",))]
)
def test_a_trunk_with_a_plan_of_its_own_is_sent_emergency_numbers_as_ever(plan):
    rows = account(route("", trunk(country_code="34")), numbering=plan, allowed_prefixes=())

    assert isinstance(ask(rows, dialled="112", others={}), Plan)


def test_digits_in_the_name_of_an_endpoint_are_not_sent():
    rows = account(route("49", trunk(dial_string="PJSIP/{number}@carrier-44")), numbering=GERMANY)

    assert isinstance(ask(rows, dialled="4930200", others={}), Plan)


def test_a_choice_that_has_not_seen_all_rows_is_no_plan():
    from calls.routing.choice import CallFacts, choose

    rows = account(route("", trunk(strip_digits=2)))
    found = choose(CallFacts("n:1", "99449012345", "", ("acme",), 0), (rows,), 7200)

    assert found == Unproven(("449012345",))


def test_a_trunk_that_would_be_sent_a_blocked_number_does_not_end_the_hunt():
    rows = account(route("", trunk(strip_digits=2), trunk("b", priority=2)))
    elsewhere = {"449012345": (account(blocks=(BLOCK,)),)}

    found = ask(rows, dialled="99449012345", elsewhere=elsewhere, explain=True)

    assert gist(found) == ["PJSIP/99449012345@b"]
    assert [target.skipped for target in found.targets] == ["blocked", ""]
    (step,) = [step for step in found.steps if step.subject == "a"]
    assert step.detail.endswith(
        "(sent 449012345, which it may read as 449012345: blocklist entry callee 4490 (all))"
    )


def test_a_disabled_entry_or_a_route_that_does_not_hold_bars_nothing():
    rows = account(route("", trunk(strip_digits=2)))
    for there in (
        account(blocks=(blocked("4490", enabled=False),)),
        account(route("4490", block=True, enabled=False)),
        account(route("4490", block=True, schedule="sat")),
        account(route("44", block=True), route("4490", "x")),
    ):
        found = ask(rows, dialled="99449012345", elsewhere={"449012345": (there,)})
        assert gist(found) == ["PJSIP/449012345@a"]


def test_a_blocking_route_that_cannot_be_read_refuses_the_call():
    rows = account(route("", trunk(strip_digits=2)))
    there = account(route("4490", block=True, schedule="never"))

    found = ask(rows, dialled="99449012345", elsewhere={"449012345": (there,)})

    assert gist(found) == ("congestion", 41)


def test_an_extension_that_a_trunk_is_sent_is_no_number_abroad():
    """49401 as 401 to one's own telephone system, with all of Romania blocked."""
    rows = account(route("", trunk(strip_digits=2)), blocks=(blocked("40"),))

    assert gist(ask(rows, dialled="49401")) == ["PJSIP/401@a"]


@pytest.mark.parametrize(
    ("dialled", "sent"),
    [
        ("110", "110"),
        ("112", "112"),
        ("116117", "116117"),
        ("+112", "112"),
        ("00110", "110"),
    ],
)
def test_short_numbers_of_the_plan_go_as_they_are(dialled, sent):
    rows = account(route("", "a"), numbering=GERMANY, allowed_prefixes=("49",))

    assert gist(ask(rows, dialled=dialled)) == [f"PJSIP/{sent}@a"]


def test_short_numbers_are_blocked_by_their_own_digits_only():
    rows = account(route("", "a"), numbering=GERMANY, blocks=(blocked("1"), blocked("49")))

    assert gist(ask(rows, dialled="112")) == REFUSED
    elsewhere_blocked = account(route("", "a"), numbering=GERMANY, blocks=(BLOCK,))
    assert gist(ask(elsewhere_blocked, dialled="112")) == ["PJSIP/112@a"]


@pytest.mark.parametrize(
    ("dialled", "outcome"),
    [
        ("030200300", ["PJSIP/4930200300@a"]),
        ("+33123456789", ["PJSIP/33123456789@a"]),
        ("112", ["PJSIP/112@a"]),
        ("+449012345", REFUSED),
        ("+3933123456", REFUSED),
    ],
)
def test_an_account_calls_the_prefixes_that_it_is_allowed(dialled, outcome):
    rows = account(route("", "a"), numbering=GERMANY, allowed_prefixes=("49", "33"))

    assert gist(ask(rows, dialled=dialled)) == outcome


def test_an_account_that_may_call_nowhere_still_calls_for_help():
    rows = account(route("", "a"), numbering=GERMANY, allowed_prefixes=())

    assert gist(ask(rows, dialled="030200300")) == REFUSED
    assert gist(ask(rows, dialled="112")) == ["PJSIP/112@a"]
    assert ask(rows, dialled="030200300").reason == (
        "account acme may not call 4930200300: its allowed prefixes are none"
    )


def test_a_rewriting_does_not_lead_around_the_allowed_prefixes():
    rows = account(route("", trunk(strip_digits=2)), allowed_prefixes=("99",))

    assert gist(ask(rows, dialled="998123456789")) == REFUSED


def test_a_prefix_limit_counts_what_is_sent_as_well():
    rows = account(route("", trunk(strip_digits=3)))
    plan = ask(rows, dialled="998449012345")
    book = bind([LimitRow(Scope.PREFIX, "4490", Metric.CONCURRENT, 1)])

    (rule,) = guard(plan, book, (), 0).rules

    assert rule.subject == "prefix:4490"


@pytest.mark.parametrize(
    ("dial_string", "skipped"),
    [
        ("PJSIP/{number}@a", ""),
        ("Local/{number}@monkeys", ""),
        ("Local/{number}@monkeys/n", ""),
        ("Local/{number}@from-callers", "tech"),
        ("Local/{number}", "tech"),
        ("Local/{number}@monkeys@from-callers", "tech"),
        ("Local/1@from-callers/{number}@monkeys", "tech"),
        ("local/{number}@monkeys", "tech"),
        ("LOCAL/{number}@monkeys", "tech"),
        ("pjsip/{number}@a", "tech"),
        ("UnicastRTP/192.0.2.1:5000/{number}", "tech"),
        ("AudioSocket/192.0.2.1:5000/{number}", "tech"),
        ("WebSocket/{number}", "tech"),
        ("Recorder/{number}", "tech"),
        ("Message/{number}", "tech"),
        ("IAX2/{number}", "tech"),
        ("{number}", "tech"),
        ("", "tech"),
    ],
)
def test_a_trunk_with_a_dial_string_that_the_settings_forbid_is_skipped(dial_string, skipped):
    found = ask(account(route("", trunk(dial_string=dial_string))))

    assert [target.skipped for target in found.targets] == [skipped]


def test_local_channels_are_for_nobody_unless_a_setting_names_their_context():
    rows = account(route("", trunk(dial_string="Local/{number}@monkeys")))

    assert gist(ask(rows, policy=Policy())) == ("congestion", 34)


@pytest.mark.parametrize(
    ("hops", "most", "outcome"),
    [
        (0, 1, ["PJSIP/49301@a"]),
        (1, 1, ("loop", 34)),
        (7, 1, ("loop", 34)),
        (1, 2, ["PJSIP/49301@a"]),
        (2, 2, ("loop", 34)),
    ],
)
def test_a_call_that_has_been_through_too_many_switches_of_ours_is_ended(hops, most, outcome):
    found = ask(account(route("", "a")), hops=hops, policy=Policy(max_hops=most))

    assert gist(found) == outcome
