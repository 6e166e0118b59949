"""A new account may use what the settings say, until somebody gives it more."""

import pytest
from django.core.exceptions import ValidationError

from calls.models import Account, Limit
from calls.store.lookup import prefixes_allowed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _defaults(settings):
    settings.NEW_ACCOUNT_MAX_CALLS, settings.NEW_ACCOUNT_MINUTES_A_DAY = 10, 600
    settings.NEW_ACCOUNT_PREFIXES = "own"


def limits():
    return sorted(limit.name for limit in Limit.objects.all())


def test_a_new_account_has_limits_that_can_be_seen_and_changed():
    account = Account.objects.create(code="acme", name="Acme", country_code="49")
    assert limits() == ["account acme: 10 concurrent", "account acme: 600 minutes a day"]

    Limit.objects.all().delete()
    account.name = "Acme and Sons"
    account.save()
    assert limits() == []


def test_a_new_account_may_call_its_own_country_only():
    account = Account.objects.create(code="acme", name="Acme", country_code="49")

    assert account.allowed_prefixes == "own"
    assert prefixes_allowed(account.allowed_prefixes, "49") == ("49",)


def test_an_account_of_no_country_may_call_nowhere_until_somebody_says_where():
    account = Account(code="acme", name="Acme")
    assert prefixes_allowed(account.allowed_prefixes, "") == ()
    with pytest.raises(ValidationError, match="its own country"):
        account.full_clean()
    account.allowed_prefixes = "33 4420"
    account.full_clean()


def test_settings_can_leave_the_limits_out(settings):
    settings.NEW_ACCOUNT_MAX_CALLS = settings.NEW_ACCOUNT_MINUTES_A_DAY = 0
    settings.NEW_ACCOUNT_PREFIXES = ""
    account = Account.objects.create(code="acme", name="Acme")

    assert (limits(), account.allowed_prefixes) == ([], "")


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (
            "short_codes",
            ["", "112", "112 116xxx *98", "ABCD#"],
            ["112,110", "112  110", "1y", "xxxxx"],
        ),
        ("allowed_prefixes", ["", "own", "33 own 4420"], ["+33", "0", "own,33", "OWN", " 33"]),
        ("allowed_callers", ["", "4930", "4930 4989"], ["own", "+4930", "4930*", "x"]),
    ],
)
def test_an_account_takes_only_numbers_that_mean_something(field, good, bad):
    account = Account(code="acme", name="Acme", country_code="49")
    for value in good:
        setattr(account, field, value)
        account.full_clean()
    for value in bad:
        setattr(account, field, value)
        with pytest.raises(ValidationError) as refused:
            account.full_clean()
        assert list(refused.value.message_dict) == [field]
