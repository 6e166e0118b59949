"""What was dialled, to E.164 digits, as the account's country dials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.routing.numbers import (
    Form,
    NumberingPlan,
    country_of,
    diallable,
    is_e164,
    is_short,
    normalise,
    recognise,
)
from tests.routing.configured import account, ask, blocked, gist, route

SHORT = ("112", "116xxx", "*98", "*xx#")
FRANCE = NumberingPlan("33", "00", "0", SHORT)
USA = NumberingPlan("1", "011", "1", ("911",))
SPAIN = NumberingPlan("34", "00", "", SHORT)
AUSTRALIA = NumberingPlan("61", "0011", "0", ("000", "0*1", "13xx"))
NOWHERE = NumberingPlan()


@pytest.mark.parametrize(
    ("plan", "dialled", "number", "form"),
    [
        (FRANCE, "+33123456789", "33123456789", Form.PLUS),
        (FRANCE, "0033123456789", "33123456789", Form.INTERNATIONAL),
        (FRANCE, "0123456789", "33123456789", Form.NATIONAL),
        (FRANCE, "33123456789", "33123456789", Form.AS_IT_IS),
        (FRANCE, "00493012345", "493012345", Form.INTERNATIONAL),
        # Short numbers are those that the plan names; people put prefixes before them, too.
        (FRANCE, "112", "112", Form.SHORT),
        (FRANCE, "+112", "112", Form.SHORT),
        (FRANCE, "00112", "112", Form.SHORT),
        (FRANCE, "116117", "116117", Form.SHORT),
        (FRANCE, "*98", "*98", Form.SHORT),
        (FRANCE, "*21#", "*21#", Form.SHORT),
        (USA, "911", "911", Form.SHORT),
        # As dialled, though they begin with a prefix.
        (AUSTRALIA, "000", "000", Form.SHORT),
        (AUSTRALIA, "0*1", "0*1", Form.SHORT),
        (AUSTRALIA, "1300", "1300", Form.SHORT),
        (AUSTRALIA, "0290000000", "61290000000", Form.NATIONAL),
        (NumberingPlan("61", "00", "0", ("000",)), "000", "000", Form.SHORT),
        # Where there is no national prefix, they get the country code as all that is dialled.
        (SPAIN, "112", "34112", Form.SHORT),
        (SPAIN, "*98", "*98", Form.SHORT),
        (USA, "01133123456789", "33123456789", Form.INTERNATIONAL),
        (USA, "12125551234", "12125551234", Form.NATIONAL),
        (USA, "2125551234", "2125551234", Form.AS_IT_IS),
        (SPAIN, "912345678", "34912345678", Form.WITHOUT_PREFIX),
        (SPAIN, "+34912345678", "34912345678", Form.PLUS),
        (SPAIN, "0034912345678", "34912345678", Form.INTERNATIONAL),
        (NOWHERE, "33123456789", "33123456789", Form.AS_IT_IS),
        (NOWHERE, "0033123456789", "33123456789", Form.INTERNATIONAL),
        # Numbers that begin with a 0, in a country that has them.
        (NOWHERE, "390612345678", "390612345678", Form.AS_IT_IS),
    ],
)
def test_a_number_is_read_as_the_accounts_country_dials(plan, dialled, number, form):
    assert recognise(dialled, plan) == (number, form)


@pytest.mark.parametrize("dialled", ["00", "", "+", "++33", "0033@evil", "33 1", "٣٣", "3" * 33])
def test_what_is_no_number_has_no_form(dialled):
    assert recognise(dialled, FRANCE) is None


@pytest.mark.parametrize(
    ("plan", "dialled"),
    [
        # One prefix is one prefix: what is left must be a number by itself.
        (FRANCE, "+00449012345"),
        (FRANCE, "0000449012345"),
        (FRANCE, "000449012345"),
        (FRANCE, "+0033"),
        (FRANCE, "000"),
        (USA, "0033123456789"),
        (NOWHERE, "0123456789"),
        (NumberingPlan("", "", ""), "0033123"),
        # Behind a country code the national prefix is not dialled, but carriers take it off.
        (FRANCE, "+44020790000"),
        (FRANCE, "+330123456789"),
        (FRANCE, "00123456789"),
        # Short numbers that the plan does not name, as other countries have them.
        (FRANCE, "110"),
        (FRANCE, "11880"),
        (FRANCE, "1190"),
        (NOWHERE, "112"),
        (FRANCE, "116"),
        (FRANCE, "116117x"),
        # * # A-D only as the plan says.
        (FRANCE, "*99"),
        (FRANCE, "0*1"),
        (FRANCE, "#21#"),
        (FRANCE, "*21*33123456789#"),
        (FRANCE, "ABCD"),
        (NOWHERE, "*98"),
        # Too long, and countries whose numbers have eleven digits.
        (NOWHERE, "4" * 16),
        (NOWHERE, "1212555123"),
        (NOWHERE, "121255512345"),
        (NOWHERE, "11125551234"),
        (NOWHERE, "7495123456"),
        (NumberingPlan("340", "00", ""), "9" * 13),
    ],
)
def test_what_is_neither_e164_nor_a_short_number_of_the_plan_is_refused(plan, dialled):
    assert recognise(dialled, plan) is None


PLANS = st.sampled_from([FRANCE, USA, SPAIN, AUSTRALIA, NOWHERE])


@given(st.from_regex(r"\+?[0-9*#A-D]{1,32}", fullmatch=True), PLANS)
def test_whatever_is_dialled_comes_out_as_a_number_or_not_at_all(dialled, plan):
    number = normalise(dialled, plan)
    if number is not None:
        assert is_e164(number) or is_short(number, plan)
        assert is_short(number, plan) or normalise(f"+{number}", plan) == number


@given(st.from_regex(r"\+[1-9][0-9]{4,14}", fullmatch=True), PLANS, PLANS)
def test_an_international_number_is_the_same_for_everybody(dialled, plan, other):
    assert normalise(dialled, plan) in (normalise(dialled, other), dialled[1:])


@pytest.mark.parametrize(
    ("number", "country"), [("12125551234", "1"), ("7495", "7"), ("4930", "49"), ("35312", "353")]
)
def test_a_number_begins_with_its_country_code(number, country):
    assert country_of(number) == country


@pytest.mark.parametrize("dialled", ["+33123456789", "0033123456789", "0123456789", "33123456789"])
def test_routes_and_blocklists_see_the_one_form(dialled):
    open_to_all = account(route("3312", "a"), numbering=FRANCE)
    shut = account(route("3312", "a"), numbering=FRANCE, blocks=(blocked("33123"),))

    assert gist(ask(open_to_all, dialled=dialled)) == ["PJSIP/33123456789@a"]
    assert gist(ask(shut, dialled=dialled)) == ("blocked", 21)


def test_the_callers_number_is_brought_to_that_form_too():
    found = ask(account(route("", "a"), numbering=FRANCE), caller="0123456789")

    assert (found.caller, found.targets[0].caller) == ("33123456789", "33123456789")


def test_only_what_could_be_dialled_is_asked_for():
    assert (diallable("+4930"), diallable("1@evil"), diallable("")) == ("+4930", "", "")
