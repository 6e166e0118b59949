"""What many calls find in one query is what each finds by the query of a live call."""

import random
from dataclasses import replace

import pytest

from calls.models import Account, Block, Route, RouteTarget, Trunk
from calls.store.lookup import diallable, look_up_in_transaction, look_up_many, with_caller_blocks

pytestmark = pytest.mark.django_db


def sorted_rows(accounts):
    """The same rows in one order: queries give them in any."""
    return [
        replace(
            account,
            blocks=tuple(sorted(account.blocks, key=lambda block: block.block_id)),
            routes=tuple(
                replace(route, targets=tuple(sorted(route.targets, key=lambda row: row.trunk)))
                for route in account.routes
            ),
        )
        for account in accounts
    ]


@pytest.fixture
def configured():
    draw = random.Random(7)
    accounts = [
        Account.objects.create(code="plain", name="x"),
        Account.objects.create(code="off", name="x", enabled=False),
        Account.objects.create(
            code="german", name="x", country_code="49", national_prefix="0", max_call_s=9
        ),
        Account.objects.create(code="us", name="x", country_code="1", international_prefix="011"),
    ]
    trunks = [
        Trunk.objects.create(name=name, dial_string="PJSIP/{number}@" + name) for name in "abc"
    ]
    prefixes = ["", "4", "49", "493", "4930", "1", "12", "44", "0"]
    for prefix in prefixes:
        for account in (None, *draw.sample(accounts, 2)):
            route = Route.objects.create(
                prefix=prefix, account=account, enabled=draw.random() < 0.8, schedule="daily"
            )
            for trunk in draw.sample(trunks, draw.randint(0, 3)):
                RouteTarget.objects.create(
                    route=route, trunk=trunk, strip_digits=draw.randint(0, 3)
                )
    for side in ("callee", "caller"):
        for prefix in ("4", "4930", "12"):
            for account in (None, draw.choice(accounts)):
                Block.objects.create(side=side, prefix=prefix, account=account)


def test_many_find_what_each_finds_alone(configured):
    draw = random.Random(8)
    numbers = ["", "+", "+4930123", "030123", "00493012", "01149301", "12125551", "*98", "4", "x@y"]
    numbers += [str(draw.randint(1, 10**10)) for _ in range(20)]
    codes = ["", "plain", "off", "german", "us", "nobody"]
    questions = [
        (draw.choice(codes), draw.choice(numbers), draw.choice(numbers)) for _ in range(300)
    ]
    many = look_up_many(questions)
    found = 0
    for code, callee, caller in questions:
        keys = (code,) if code else ()
        accounts, blocks, _ = look_up_in_transaction(keys, diallable(callee), diallable(caller))
        alone = with_caller_blocks(accounts, blocks)
        assert sorted_rows(many[code, callee, caller]) == sorted_rows(alone)
        found += len(alone)
    assert found > 100


def test_more_than_one_querys_worth_are_all_answered(configured, monkeypatch):
    monkeypatch.setattr("calls.store.lookup.AT_A_TIME", 2)
    questions = [("plain", f"493{n}", "") for n in range(5)]
    assert [len(rows) for rows in look_up_many(questions).values()] == [1] * 5


def test_no_call_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert look_up_many([]) == {}
