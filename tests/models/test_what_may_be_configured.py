"""Accounts, trunks and routes: what they accept, and what they refuse."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from calls.models import Account, Block, Route, RouteTarget, Trunk
from calls.validators import validate_dial_string

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    return Account.objects.create(code="demo", name="Demo")


@pytest.fixture
def trunk():
    return Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")


@pytest.mark.parametrize(
    "text",
    [
        "PJSIP/{number}@carrier-a",
        "Local/{number}@monkeys",
        "Local/{number}@monkeys/n",
        "PJSIP/carrier-a/sip:{number}@192.0.2.1:5060;user=phone",
        "PJSIP/carrier-a/sip:{number}@[2001:db8::1]",
        "PJSIP/00{number}@carrier_b",
    ],
)
def test_a_dial_string_names_a_technology_and_the_numbers_place(text):
    validate_dial_string(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PJSIP/carrier-a",
        "{number}",
        "{number}/x",
        "PJ{number}/carrier-a",
        "/{number}",
        "PJSIP/{number}@a&PJSIP/{number}@b",
        "PJSIP/{number}@a&PJSIP/0900@b",
        "PJSIP/{number}@a,30",
        "PJSIP/{number}@a^b",
        "PJSIP/{number}@a|b",
        "PJSIP/{number}@carrier a",
        "PJSIP/{number}@carrier-a\n",
        "PJSIP/{number}@${EVIL}",
        "PJSIP/{number}@{trunk}",
        'PJSIP/"{number}"@a',
        "PJSIP/{number}@straße",
    ],
)
def test_a_dial_string_that_could_dial_something_else_is_refused(text):
    with pytest.raises(ValidationError):
        validate_dial_string(text)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("add_prefix", ["", "+", "00", "*31#"], ["@", "&", "1 2", "+\n", "٣"]),
        ("caller_id", ["", "+493012345", "493012345"], ["Alice", "1&2", "+", "49\n", "٣"]),
        ("ring_timeout_s", [1, 60, 600], [0, 601, -1]),
        ("strip_digits", [0, 15], [16, -1]),
    ],
)
def test_a_trunk_takes_only_values_that_can_be_dialled(trunk, field, good, bad):
    trunk.caller_id_policy = "account"
    for value in good:
        setattr(trunk, field, value)
        trunk.full_clean()
    for value in bad:
        setattr(trunk, field, value)
        with pytest.raises(ValidationError) as refusal:
            trunk.full_clean()
        assert list(refusal.value.message_dict) == [field]


@pytest.mark.parametrize("prefix", ["", "4", "493012345678901"])
def test_a_prefix_is_made_of_up_to_15_digits(prefix):
    Route(prefix=prefix).full_clean()


@pytest.mark.parametrize("prefix", ["+49", "49 30", "4930123456789012", "49\n", "٤٩"])
def test_a_prefix_of_anything_else_is_refused(prefix):
    with pytest.raises(ValidationError, match="prefix"):
        Route(prefix=prefix).full_clean()


@pytest.mark.parametrize("code", ["", "a b", "a\n", "a&b", "<b>"])
def test_an_account_code_that_asterisk_could_not_hold_is_refused(code):
    with pytest.raises(ValidationError, match="code"):
        Account(code=code, name="x").full_clean()


@pytest.mark.parametrize("seconds", [0, 86_401])
def test_an_account_cannot_forbid_or_unlimit_its_calls_by_their_length(seconds):
    with pytest.raises(ValidationError, match="max_call_s"):
        Account(code="a", name="x", max_call_s=seconds).full_clean()


def test_a_prefix_has_one_route_for_all_accounts_and_one_for_each(account):
    Route.objects.create(prefix="49")
    Route.objects.create(prefix="49", account=account)
    for whose in (None, account):
        with pytest.raises(ValidationError, match="already"):
            Route(prefix="49", account=whose).full_clean()
        with pytest.raises(IntegrityError), transaction.atomic():
            Route.objects.create(prefix="49", account=whose)


def test_a_trunk_stands_once_in_a_route(trunk):
    route = Route.objects.create(prefix="49")
    RouteTarget.objects.create(route=route, trunk=trunk)
    with pytest.raises(IntegrityError), transaction.atomic():
        RouteTarget.objects.create(route=route, trunk=trunk, priority=2)


def test_a_trunk_that_a_route_needs_is_not_deleted(trunk):
    RouteTarget.objects.create(route=Route.objects.create(prefix="49"), trunk=trunk)
    with pytest.raises(ProtectedError):
        trunk.delete()


def test_rows_are_named_as_people_speak_of_them(account, trunk):
    route = Route.objects.create(prefix="49", account=account)
    target = RouteTarget.objects.create(route=route, trunk=trunk)
    assert [str(row) for row in (account, trunk, route, Route(), target)] == [
        "Demo (demo)",
        "carrier-a",
        "49 for demo",
        "default",
        "carrier-a (priority 1, weight 100)",
    ]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (
            "time_zone",
            ["", "UTC", "Europe/Paris"],
            ["Mars/Base", "../x", "Europe/Paris\n"],
        ),
        ("country_code", ["", "1", "33", "7840"], ["0", "033", "+33", "33\n", "12345", "\u0663"]),
        ("international_prefix", ["", "00", "011"], ["+", "0 0", "00\n", "123456789"]),
        ("caller_id", ["", "+33123", "33123"], ["Acme", "1&2"]),
    ],
)
def test_an_account_takes_only_a_numbering_plan_that_exists(account, field, good, bad):
    for value in good:
        setattr(account, field, value)
        account.full_clean()
    for value in bad:
        setattr(account, field, value)
        with pytest.raises(ValidationError) as refusal:
            account.full_clean()
        assert list(refusal.value.message_dict) == [field]


def test_an_account_without_a_time_zone_has_utc(account):
    account.time_zone = ""
    account.full_clean()
    assert account.time_zone == "UTC"


def test_a_national_prefix_needs_a_country_code(account):
    account.national_prefix = "0"
    with pytest.raises(ValidationError, match="without the country code"):
        account.full_clean()
    account.country_code = "33"
    account.full_clean()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rewrite_match": "("}, "rewrite_match"),
        ({"rewrite_match": "1" * 101}, "rewrite_match"),
        ({"rewrite_match": "^49", "rewrite_replace": "@evil"}, "rewrite_replace"),
        ({"rewrite_match": "^49", "rewrite_replace": r"\1"}, "rewrite_replace"),
        ({"rewrite_replace": "1"}, "rewrite_match"),
        ({"caller_id_policy": "fixed"}, "caller_id"),
        ({"caller_id_policy": "pass", "caller_id": "4930"}, "caller_id"),
        ({"caller_id_policy": "anonymous", "caller_id": "4930"}, "caller_id"),
        ({"caller_id_policy": "whatever"}, "caller_id_policy"),
    ],
)
def test_a_trunk_that_could_not_do_what_it_says_is_refused(trunk, changes, field):
    for name, value in changes.items():
        setattr(trunk, name, value)
    with pytest.raises(ValidationError) as refusal:
        trunk.full_clean()
    assert field in refusal.value.message_dict


def test_a_trunk_with_a_rewrite_and_a_number_of_its_own_is_accepted(trunk):
    trunk.rewrite_match, trunk.rewrite_replace = "^49(.*)", r"0\1"
    trunk.caller_id_policy, trunk.caller_id = "fixed", "+4930"
    trunk.full_clean()


@pytest.mark.parametrize("schedule", ["weekends", "mon 8-18", "mon 08:00-18:00,"])
def test_a_schedule_that_cannot_be_read_is_refused(schedule):
    with pytest.raises(ValidationError, match="schedule"):
        Route(prefix="49", schedule=schedule).full_clean()


@pytest.mark.parametrize("prefix", ["", "+49", "4930123456789012", "49\n", "*"])
def test_a_blocklist_entry_needs_digits_and_never_blocks_everybody(prefix):
    with pytest.raises(ValidationError, match="prefix"):
        Block(prefix=prefix).full_clean()


def test_a_side_and_prefix_has_one_entry_for_all_accounts_and_one_for_each(account):
    Block.objects.create(prefix="49")
    Block.objects.create(prefix="49", side="caller")
    Block.objects.create(prefix="49", account=account)
    for whose in (None, account):
        with pytest.raises(ValidationError, match="already"):
            Block(prefix="49", account=whose).full_clean()
        with pytest.raises(IntegrityError), transaction.atomic():
            Block.objects.create(prefix="49", account=whose)
