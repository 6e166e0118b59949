"""Every address of the API, asked for by tokens that may not see what is there."""

import re
from dataclasses import replace
from itertools import product

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from calls.api import auth
from calls.api.urls import api
from calls.clock import wall_clock_ms
from calls.models import (
    Account,
    Limit,
    Route,
    RouteTarget,
    Trunk,
    WebhookEndpoint,
)
from calls.routing.steps import Mark, Step, Topic
from cdr.models import Cdr
from cdr.writer import store
from tests.api.test_who_may_ask import problem
from tests.cdr.made_up import attempt, record
from tests.lab import live
from tests.machine.world import CALL, plan, rule
from tests.story.journals import answered
from tests.story.keeping import keep

OTHERS = re.compile(r"zz[a-z]+")
"""Every text of what is not the asking account's begins so."""
THERE = {
    "code": ("acme", "zzother"),
    "name": ("zztrunk",),
    "key": ("1", "2", "3", "4"),
    "kind": ("trunk", "node", "switch"),
    "call_id": ("pbx1:1", "pbx1:2", CALL),
}
"""What stands in an address for each of its parts."""


@pytest.fixture(autouse=True)
def redis(clean_redis, settings):
    settings.API_REQUESTS_PER_S = 0
    return clean_redis


@pytest.fixture
def others(acme, redis):
    """An account, its rows and its calls, beside those of acme."""
    other = Account.objects.create(code="zzother", name="zzname", phones="zzphone")
    trunk = Trunk.objects.create(name="zztrunk", dial_string="PJSIP/{number}@zzcarrier")
    for account in (acme, other):
        route = Route.objects.create(prefix="49", account=account, note="zzroutenote")
        RouteTarget.objects.create(route=route, trunk=trunk)
        Limit.objects.create(account=account, scope="account", metric="cps", value=7, note="zzsaid")
    Limit.objects.create(trunk=trunk, scope="trunk", metric="cps", value=7, note="zzsaid")
    WebhookEndpoint.objects.create(
        name="zzhook", url="https://zzhook.example/", events="call.ended"
    )
    tried = (attempt(trunk="zztrunk"),)
    store(
        [
            record("pbx1:1", account="acme", trunk="zztrunk", route="zzroute", attempts=tried),
            record("pbx1:2", account="zzother", trunk="zztrunk", attempts=tried),
        ]
    )
    now_ms = wall_clock_ms()
    live.put(redis, [live.session(1, now_ms=now_ms, account="zzother")])
    return other


def addresses(method):
    """Every address that takes this method, with every row there is in its place."""
    found = []
    for path, methods in api.get_openapi_schema()["paths"].items():
        if method not in methods:
            continue
        path = path.removeprefix("/api/v1/")
        parts = re.findall(r"\{(\w+)\}", path)
        for part in parts:
            assert part in THERE, f"Say in THERE what {part} of {path} may be."
        # What names one kind of thing is tried for the others, too.
        every = [each for values in THERE.values() for each in values]
        tried = product(*([every] if len(parts) == 1 else [THERE[part] for part in parts]))
        for values in tried:
            filled = path
            for part, value in zip(parts, values, strict=True):
                filled = filled.replace(f"{{{part}}}", value)
            found.append(filled)
    assert found
    return found


def texts(answer):
    """What an answer tells, without the question that it repeats."""
    return set(OTHERS.findall(answer.content.decode())) - set(
        OTHERS.findall(answer.request["PATH_INFO"])
    )


def test_a_token_of_an_account_reads_nothing_of_anybody_else(others, acme, program):
    ask = program(acme)
    read = 0
    for path in addresses("get"):
        answer = ask("get", f"{path}?since=2020-01-01" if path == "cdrs" else path)
        assert texts(answer) == set(), path
        if "zzother" in path or path.endswith("pbx1:2"):
            assert answer.status_code in (403, 404), path
        read += answer.status_code == 200
    # calls, cdrs, its record, accounts, itself, limits; and its limit, where that is number 1.
    assert read >= 6


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_token_of_an_account_changes_nothing_of_anybody_else(others, acme, program, method):
    ask = program(acme)
    before = [
        list(model.objects.order_by("pk").values()) for model in (Account, Trunk, Route, Limit)
    ]
    for path in addresses(method):
        answer = ask(method, path, {"account": "zzother", "number": "4930"})
        assert answer.status_code in (403, 404, 405), path
        assert texts(answer) == set(), path
    after = [
        list(model.objects.order_by("pk").values()) for model in (Account, Trunk, Route, Limit)
    ]
    assert after == before


HIDES = {
    "view_account": {"accounts"},
    "view_trunk": {"trunks", "routes"},
    "view_routetarget": {"routes"},
    "view_route": {"routes"},
    "view_limit": {"limits"},
    "view_cdr": {"cdrs", "traces"},
    "view_call": {"calls"},
    "view_drain": {"drains"},
    "view_webhookendpoint": {"webhooks"},
}


@pytest.mark.parametrize("missing", HIDES)
def test_a_users_token_reads_no_kind_that_its_user_may_not_see(others, program, missing):
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__startswith="view_").exclude(codename=missing)
    )
    ask = program(user)
    for path in addresses("get"):
        kind = path.partition("/")[0]
        if kind in HIDES[missing] and path != "webhooks/deliveries":
            assert ask("get", path).status_code in (403, 404, 422), path
            assert texts(ask("get", path)) == set(), path


def test_why_a_call_went_so_is_for_tokens_that_may_ask_where_one_would_go(boss, program):
    """As on the story's page: docs/security.md."""
    steps = (Step(Topic.BLOCKLIST, "callee 4490 (all): premium", Mark.PASSED_OVER, "is disabled"),)
    keep(answered(found=replace(plan(), steps=steps), rules=(rule("cps"),)))
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_cdr"))
    asked = {
        "boss": program(boss),
        "boss, without the scope": program(boss, "traces:read"),
        "clerk": program(clerk),
    }
    told = {who: ask("get", f"traces/{CALL}") for who, ask in asked.items()}

    assert {answer.status_code for answer in told.values()} == {200}
    for secret in ("callee 4490 (all): premium", "account acme: 3 cps"):
        found = {who for who, answer in told.items() if secret in answer.content.decode()}
        assert found == {"boss"}, secret
    for answer in told.values():
        assert answer.json()["sentence"].startswith("Trunk carrier-a answered after")


def test_whoever_gets_a_code_that_another_account_had_reads_nothing_of_that_one(acme, program):
    """Call records hold codes, and stay as they were when an account is renamed."""
    store([record("pbx1:1", account="acme"), record("pbx1:2", account="free")])
    assert program(acme)("get", "cdrs/pbx1:1").status_code == 200
    acme.code = "acme-until-2026"
    acme.save()
    heir = Account.objects.create(code="acme", name="Another Acme")
    ask = program(heir)

    assert ask("get", "cdrs/pbx1:1").status_code == 404
    assert ask("get", "cdrs?since=2020-01-01").json()["cdrs"] == []
    now = timezone.now()
    Cdr.objects.filter(call_id="pbx1:2").update(account="acme", started_at=now)
    assert ask("get", "cdrs/pbx1:2").status_code == 200

    # The one that was renamed neither takes over what somebody else left.
    store([record("pbx1:3", account="left")])
    acme.code = "left"
    acme.save(update_fields=["code"])
    assert program(acme)("get", "cdrs/pbx1:3").status_code == 404
    # And a name that nobody had hides nothing.
    acme.code = "new"
    acme.save()
    assert acme.code_since is None


def test_a_right_token_is_let_in_while_somebody_at_its_address_tries_wrong_ones(
    acme, program, monkeypatch
):
    # So slow that no machine is slower: each of 30 requests would have to take a second.
    monkeypatch.setattr(auth, "WRONG_PER_S", 1)
    ask = program(acme)
    wrong = [ask("get", "cdrs", Authorization="Bearer rm_0123456789ab_wrong") for _ in range(30)]
    problem(next(each for each in wrong if each.status_code != 401), 429, "too-many-requests")

    assert ask("get", "cdrs").status_code == 200
