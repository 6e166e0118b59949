"""An account may call its own country by default, and country code 1 is more than one."""

import pytest

from calls.routing import nanp
from calls.routing.numbers import NumberingPlan
from calls.store.lookup import prefixes_allowed
from tests.routing.configured import account, ask, gist, route

USA = NumberingPlan("1", "011", "1", ("911",))


def of(text):
    return account(
        route("", "a"), numbering=USA, allowed_prefixes=prefixes_allowed(text, USA.country_code)
    )


@pytest.mark.parametrize("dialled", ["+12125551234", "14165551234", "18005551234", "911"])
def test_numbers_of_the_country_are_its_own(dialled):
    assert gist(ask(of("own"), dialled=dialled)) == [f"PJSIP/{dialled.lstrip('+')}@a"]


@pytest.mark.parametrize("area", sorted(nanp.ELSEWHERE | nanp.PREMIUM))
def test_other_countries_of_the_same_code_and_premium_numbers_are_not(area):
    refused = ask(of("own"), dialled=f"+1{area}5551234")

    assert gist(refused) == ("blocked", 21)
    assert refused.reason == (
        f"account acme may not call 1{area}5551234: its allowed prefixes are 1 without other "
        "countries' and premium area codes"
    )


def test_what_is_named_may_be_called_all_the_same():
    assert gist(ask(of("own 1876"), dialled="+18765551234")) == ["PJSIP/18765551234@a"]
    assert gist(ask(of("1"), dialled="+19005551234")) == ["PJSIP/19005551234@a"]


def test_of_other_countries_own_is_the_country_code():
    assert prefixes_allowed("own 33", "49") == ("49", "33")
    assert prefixes_allowed("own", "1876") == ("1876",)
    assert prefixes_allowed("own", "") == ()
