"""Limits refer to accounts and trunks, not to what they are called: renaming lifts none."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, transaction

from calls.limits.rules import Metric, rule_of
from calls.models import Account, Limit, Trunk
from calls.store.limit_book import read_book

pytestmark = pytest.mark.django_db
NOW_MS = 1_763_900_000_000


@pytest.fixture
def demo(settings):
    settings.NEW_ACCOUNT_MAX_CALLS = settings.NEW_ACCOUNT_MINUTES_A_DAY = 0
    return Account.objects.create(code="demo", name="Demo", time_zone="Europe/Berlin")


@pytest.fixture
def carrier(demo):
    return Trunk.objects.create(name="carrier", dial_string="PJSIP/{number}@c", max_calls=9)


def subjects_of(rows):
    return [rule_of(row, NOW_MS).subject for row in rows]


def test_an_account_that_is_renamed_keeps_its_limit_and_what_is_used_of_it(demo):
    Limit.objects.create(scope="account", account=demo, metric="minutes", value=9, window="month")
    before = read_book().accounts["demo"]
    demo.code = "renamed"
    demo.save()
    book = read_book()

    assert subjects_of(book.accounts["renamed"]) == subjects_of(before) == ["account:demo"]
    assert "demo" not in book.accounts
    assert rule_of(book.accounts["renamed"][0], NOW_MS).name == "account renamed: 9 minutes a month"


def test_a_trunk_that_is_renamed_keeps_its_limit_and_its_capacity(carrier):
    Limit.objects.create(scope="trunk", trunk=carrier, metric="cps", value=5)
    carrier.name = "renamed"
    carrier.save()

    assert subjects_of(read_book().trunks["renamed"]) == ["trunk:carrier", "capacity:carrier"]
    assert rule_of(carrier.capacity, NOW_MS).subject == "capacity:carrier"


def test_who_is_called_like_a_renamed_one_is_counted_apart(demo):
    demo.code = "renamed"
    demo.save()
    other = Account.objects.create(code="demo", name="Another")
    for account in (demo, other):
        Limit.objects.create(scope="account", account=account, metric="cps", value=5)
    book = read_book()

    (of_demo,), (of_other,) = (
        subjects_of(book.accounts["renamed"]),
        subjects_of(book.accounts["demo"]),
    )
    assert of_demo == "account:demo"
    assert of_other.startswith("account:demo#")


def test_rows_that_were_made_in_bulk_keep_theirs_too(demo):
    Account.objects.bulk_create([Account(code="bulk", name="Bulk")])
    bulk = Account.objects.get(code="bulk")
    Limit.objects.create(scope="account", account=bulk, metric="cps", value=5)
    assert subjects_of(read_book().accounts["bulk"]) == ["account:bulk"]
    bulk.code = "renamed"
    bulk.save(update_fields=["code"])

    assert subjects_of(read_book().accounts["renamed"]) == ["account:bulk"]


def test_days_begin_where_the_account_is(demo):
    limit = Limit.objects.create(scope="account", account=demo, metric="cps", value=5)

    assert limit.row().time_zone == "Europe/Berlin"


def test_deleting_an_account_says_which_limits_go_with_it(demo, client):
    Limit.objects.create(scope="account", account=demo, metric=Metric.CONCURRENT, value=5)
    user = User.objects.create_user("eve", is_staff=True)
    allowed = ("view_account", "delete_account", "view_limit")
    user.user_permissions.set(Permission.objects.filter(codename__in=allowed))
    client.force_login(user)
    page = client.get(f"/admin/calls/account/{demo.pk}/delete/").content.decode()
    client.post(f"/admin/calls/account/{demo.pk}/delete/", {"post": "yes"})

    assert "limit" in page.partition('id="main"')[2].lower()
    # Who may not delete limits may not lift them by deleting their account either.
    assert Limit.objects.count() == Account.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "account"},
        {"scope": "trunk"},
        {"scope": "prefix"},
        {"scope": "global", "prefix": "49"},
    ],
)
def test_an_enabled_limit_of_nothing_is_refused_by_the_database_too(demo, wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        Limit.objects.create(metric="cps", value=5, **wrong)


def test_the_name_of_whom_it_limits_may_be_given_for_the_row(demo, carrier):
    assert Limit(scope="account", target="demo").account == demo
    assert Limit(scope="trunk", target="carrier").trunk == carrier
    assert Limit(scope="prefix", target="49").prefix == "49"
    with pytest.raises(ValueError, match="There is no account 'nobody' to limit"):
        Limit(scope="account", target="nobody")
