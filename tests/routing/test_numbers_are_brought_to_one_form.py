"""What was dialled, to E.164 digits, as the account's country dials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.numbers import Form, NumberingPlan, normalise, recognise
from tests.routing.rows import account, ask, blocked, gist, route

FRANCE = NumberingPlan("33", "00", "0")
USA = NumberingPlan("1", "011", "1")
SPAIN = NumberingPlan("34", "00", "")
NOWHERE = NumberingPlan()


@pytest.mark.parametrize(
    ("plan", "dialled", "number", "form"),
    [
        (FRANCE, "+33123456789", "33123456789", Form.PLUS),
        (FRANCE, "0033123456789", "33123456789", Form.INTERNATIONAL),
        (FRANCE, "0123456789", "33123456789", Form.NATIONAL),
        (FRANCE, "33123456789", "33123456789", Form.AS_IT_IS),
        (FRANCE, "00493012345", "493012345", Form.INTERNATIONAL),
        (FRANCE, "112", "112", Form.AS_IT_IS),
        # The international prefix begins with the national one and wins.
        (FRANCE, "000", "0", Form.INTERNATIONAL),
        (USA, "01133123456789", "33123456789", Form.INTERNATIONAL),
        (USA, "12125551234", "12125551234", Form.NATIONAL),
        (USA, "2125551234", "2125551234", Form.AS_IT_IS),
        (USA, "0033123456789", "0033123456789", Form.AS_IT_IS),
        (SPAIN, "912345678", "34912345678", Form.WITHOUT_PREFIX),
        (SPAIN, "+34912345678", "34912345678", Form.PLUS),
        (SPAIN, "0034912345678", "34912345678", Form.INTERNATIONAL),
        (NOWHERE, "33123456789", "33123456789", Form.AS_IT_IS),
        (NOWHERE, "0033123456789", "33123456789", Form.INTERNATIONAL),
        (NOWHERE, "0123456789", "0123456789", Form.AS_IT_IS),
        (NumberingPlan("", "", ""), "0033123", "0033123", Form.AS_IT_IS),
        # What is no number of any plan stays as it is; what follows + is international already.
        (SPAIN, "*98", "*98", Form.AS_IT_IS),
        (FRANCE, "0*1", "0*1", Form.AS_IT_IS),
        (FRANCE, "+0033", "0033", Form.PLUS),
    ],
)
def test_a_number_is_read_as_the_accounts_country_dials(plan, dialled, number, form):
    assert recognise(dialled, plan) == (number, form)


@pytest.mark.parametrize("dialled", ["00", "", "+", "++33", "0033@evil", "33 1", "٣٣", "3" * 33])
def test_what_is_no_number_has_no_form(dialled):
    assert recognise(dialled, FRANCE) is None


@pytest.mark.parametrize("digits", range(29, 33))
def test_a_number_that_grows_beyond_what_can_be_dialled_is_none(digits):
    grown = normalise("9" * digits, NumberingPlan("340", "00", ""))

    assert grown == ("340" + "9" * digits if digits + 3 <= 32 else None)


@given(st.from_regex(r"\+?[0-9*#A-D]{1,32}", fullmatch=True), st.sampled_from([FRANCE, USA]))
def test_an_international_number_is_the_same_for_everybody(dialled, plan):
    if dialled.startswith("+"):
        assert normalise(dialled, plan) == normalise(dialled, SPAIN) == dialled[1:]


@pytest.mark.parametrize("dialled", ["+33123456789", "0033123456789", "0123456789", "33123456789"])
def test_routes_and_blocklists_see_the_one_form(dialled):
    open_to_all = account(route("3312", "a"), plan=FRANCE)
    shut = account(route("3312", "a"), plan=FRANCE, blocks=(blocked("33123"),))

    assert gist(ask(open_to_all, dialled=dialled)) == ["PJSIP/33123456789@a"]
    assert gist(ask(shut, dialled=dialled)) == ("blocked", 21)


def test_the_callers_number_is_brought_to_that_form_too():
    found = ask(account(route("", "a"), plan=FRANCE), caller="0123456789")

    assert (found.caller, found.targets[0].caller) == ("33123456789", "33123456789")
