"""A trunk's regular expression: what it does to a number, what it refuses, what it cannot cost."""

import pytest

from calls.routing.rewrites import RewriteError, check, rewrite
from tests.routing.configured import account, ask, gist, route, trunk


@pytest.mark.parametrize(
    ("pattern", "replacement", "number", "sent"),
    [
        ("^0049(.*)", r"0\1", "004930123", "030123"),
        ("^49", "+49", "4930149", "+4930149"),
        (r"^(\d{2})(\d+)$", r"\2#\1", "49301", "301#49"),
        ("^33", "", "49301", "49301"),
        ("^(00|[+])?49", "0", "+49301", "0301"),
        ("1", "2", "4911", "4921"),
        ("^(x)?49", r"\1", "49301", "301"),
    ],
)
def test_the_first_match_is_replaced(pattern, replacement, number, sent):
    assert rewrite(pattern, replacement, number) == sent


@pytest.mark.parametrize(
    ("pattern", "replacement", "sentence"),
    [
        ("(", "", "no regular expression of RE2"),
        ("(?=1)", "", "no regular expression of RE2"),
        (r"(1)\1", "", "no regular expression of RE2"),
        ("1" * 101, "", "up to 100 characters"),
        ("1{1000}{1000}", "", "no regular expression of RE2"),
        ("^49", r"\1", r"has 0 groups, so there is no \\1"),
        ("^49", "x", "A replacement is made of"),
        ("^49", "@evil", "A replacement is made of"),
        ("^49", "&PJSIP/1", "A replacement is made of"),
        ("^49", "\\0", "A replacement is made of"),
        ("^49", "1\n", "A replacement is made of"),
    ],
)
def test_what_cannot_be_a_rewrite_is_refused_with_a_sentence(pattern, replacement, sentence):
    with pytest.raises(RewriteError, match=sentence):
        check(pattern, replacement)


@pytest.mark.parametrize(
    "pattern", [r"^(\d+)+$", r"^(\d|\d\d)*$", r"^(\d*)*(\d*)*(\d*)*x", "(.*){9}x"]
)
def test_no_expression_can_hold_up_a_call(pattern):
    """Python's own re would need longer than the age of the world for one of these numbers."""
    assert rewrite(pattern, "1", "4" * 48 + "#") == "4" * 48 + "#"


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"rewrite_match": "^49(.*)", "rewrite_replace": r"0\1"}, ["PJSIP/0301@a"]),
        # After the route's own strip and prefix, and the trunk's.
        ({"route_strip_digits": 2, "route_add_prefix": "44"}, ["PJSIP/44301@a"]),
        (
            {
                "route_strip_digits": 2,
                "route_add_prefix": "9",
                "strip_digits": 1,
                "add_prefix": "8",
            },
            ["PJSIP/8301@a"],
        ),
        (
            {"add_prefix": "00", "rewrite_match": "^0049", "rewrite_replace": "0"},
            ["PJSIP/0301@a"],
        ),
        # What leaves nothing that can be dialled passes the trunk over.
        ({"strip_digits": 15}, ("congestion", 34)),
        ({"rewrite_match": ".*", "rewrite_replace": ""}, ("congestion", 34)),
        ({"rewrite_match": "3", "rewrite_replace": "+"}, ("congestion", 34)),
        ({"add_prefix": "1" * 16, "route_add_prefix": "1" * 16}, ("congestion", 34)),
        # Rows that came past the validation do no harm either.
        ({"rewrite_match": "(", "rewrite_replace": ""}, ("congestion", 34)),
        ({"rewrite_match": "^49", "rewrite_replace": "@evil/"}, ("congestion", 34)),
    ],
)
def test_a_trunk_gets_the_rewritten_number_or_is_passed_over(changes, outcome):
    assert gist(ask(account(route("49", trunk(**changes))))) == outcome


def test_a_trunk_that_has_no_form_of_the_number_does_not_end_the_hunt():
    found = ask(account(route("49", trunk(strip_digits=15), trunk("b", priority=2))))

    assert [target.skipped for target in found.targets] == ["number", ""]
    assert found.targets[0].skipped.words.startswith("cannot be sent this number")
