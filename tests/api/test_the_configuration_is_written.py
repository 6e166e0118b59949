"""Written by the same rules, audit and permissions as in the admin."""

import pytest
from django.contrib.auth.models import Group, User

from calls.models import Account, Change, Limit, Route, Trunk
from calls.store import config_version
from cdr.models import Cdr
from project.access.roles import ROUTING_MANAGER
from tests.api.test_calls_and_records import record
from tests.api.test_who_may_ask import problem

TRUNK = {"name": "carrier-a", "dial_string": "PJSIP/{number}@carrier-a"}


@pytest.fixture(autouse=True)
def redis(clean_redis):
    return clean_redis


def test_a_trunk_a_route_and_a_limit_are_made_changed_and_deleted(boss, acme, program):
    ask = program(boss)
    assert ask("post", "trunks", TRUNK).status_code == 201
    made = ask(
        "post",
        "routes",
        {"prefix": "49", "account": "acme", "targets": [{"trunk": "carrier-a"}]},
    )
    assert made.status_code == 201, made.content
    key = made.json()["id"]
    assert made.json()["targets"][0]["weight"] == 100
    changed = ask("patch", f"routes/{key}", {"note": "seen"}).json()
    assert (changed["note"], changed["prefix"], len(changed["targets"])) == ("seen", "49", 1)
    limit = ask(
        "post",
        "limits",
        {"scope": "account", "account": "acme", "metric": "cps", "value": 3},
    ).json()
    assert Limit.objects.get(pk=limit["id"]).mode == "enforce"
    assert ask("delete", f"limits/{limit['id']}").status_code == 204
    problem(ask("delete", "trunks/carrier-a"), 409, "still-used")
    assert ask("delete", f"routes/{key}").status_code == 204
    assert ask("delete", "trunks/carrier-a").status_code == 204
    assert not Trunk.objects.exists()


@pytest.mark.parametrize(
    ("path", "told", "field"),
    [
        ("trunks", {"name": "x", "dial_string": "PJSIP/{number}@a&PJSIP/b"}, "dial_string"),
        ("trunks", {"name": "x", "dial_string": "Local/{number}@from-callers"}, "dial_string"),
        ("trunks", {"name": None, "dial_string": "PJSIP/{number}@a"}, "name"),
        ("accounts", {"code": "a b", "name": "x"}, "code"),
        ("accounts", {"code": "x", "name": "x", "phones": "alice@evil"}, "phones"),
        ("routes", {"prefix": "49", "action": "route"}, "targets"),
        ("routes", {"prefix": "49", "targets": [{"trunk": "nobody"}]}, "targets"),
        ("routes", {"prefix": "49", "account": "nobody", "action": "block"}, "account"),
        ("limits", {"scope": "trunk", "metric": "minutes", "value": 1, "window": "day"}, "metric"),
    ],
)
def test_what_the_admin_refuses_is_refused(boss, program, path, told, field):
    answer = problem(program(boss)("post", path, told), 422, "invalid")
    assert field in {each["field"] for each in answer["errors"]}, answer
    assert not Trunk.objects.exists()
    assert not Route.objects.exists()


def test_a_route_that_would_lose_its_last_trunk_stays_as_it_is(boss, program):
    ask = program(boss)
    ask("post", "trunks", TRUNK)
    key = ask("post", "routes", {"prefix": "1", "targets": [{"trunk": "carrier-a"}]}).json()["id"]
    problem(ask("patch", f"routes/{key}", {"note": "x", "targets": []}), 422, "invalid")
    route = Route.objects.get(pk=key)
    assert (route.note, route.targets.count()) == ("", 1)


def test_the_audit_log_names_the_token(boss, program):
    program(boss)("post", "trunks", TRUNK)
    change = Change.objects.get(object_repr="carrier-a")
    assert (change.who, change.via, change.actor) == ("token crm-1", "API", boss)
    assert change.remote_addr == "127.0.0.1"


@pytest.mark.django_db(transaction=True)
def test_workers_are_told(program, redis):
    boss = User.objects.create_superuser("root")
    program(boss)("post", "trunks", TRUNK)
    assert int(redis.get(config_version.KEY)) == 1


def test_what_a_user_may_not_in_the_admin_a_token_may_not(program, acme):
    manager = User.objects.create_user("mary", is_staff=True)
    manager.groups.add(Group.objects.get(name=ROUTING_MANAGER))
    ask = program(manager)
    assert ask("post", "trunks", TRUNK).status_code == 201
    problem(ask("patch", "accounts/acme", {"enabled": False}), 403, "no-permission")
    limit = Limit.objects.create(scope="global", metric="cps", value=1)
    problem(ask("delete", f"limits/{limit.pk}"), 403, "no-permission")
    assert Account.objects.get(code="acme").enabled


def test_a_token_of_an_account_reads_its_own_account_and_limits_and_writes_nothing(acme, program):
    other = Account.objects.create(code="other", name="Other")
    for account in (acme, other):
        Limit.objects.create(scope="account", account=account, metric="cps", value=1)
    ask = program(acme)
    assert [each["code"] for each in ask("get", "accounts").json()["rows"]] == ["acme"]
    problem(ask("get", "accounts/other"), 404, "not-found")
    assert {each["account"] for each in ask("get", "limits").json()["rows"]} == {"acme"}
    problem(ask("get", "trunks"), 403, "staff-only")
    problem(ask("patch", "accounts/acme", {"allowed_prefixes": ""}), 403, "no-scope")


def test_where_a_call_would_go_is_explained(boss, acme, program):
    ask = program(boss)
    ask("post", "trunks", TRUNK)
    ask("post", "routes", {"prefix": "49", "targets": [{"trunk": "carrier-a"}]})
    told = ask("post", "explain", {"account": "acme", "number": "+493012345"}).json()
    assert (told["routed"], told["trunks"]) == (True, ["carrier-a"])
    assert told["steps"]
    told = ask("post", "explain", {"account": "acme", "number": "+33140000000"}).json()
    assert (told["routed"], told["disposition"]) == (False, "no_route")


def test_a_change_is_tried_on_past_calls_and_not_made(boss, acme, program):
    ask = program(boss)
    ask("post", "trunks", TRUNK)
    key = ask("post", "routes", {"prefix": "49", "targets": [{"trunk": "carrier-a"}]}).json()["id"]
    for number in range(3):
        record(number, callee_received="+493012345")
    assert Cdr.objects.count() == 3
    changes = Change.objects.count()
    told = ask("post", "replay", {"kind": "routes", "key": str(key), "fields": {"action": "block"}})
    report = told.json()
    assert told.status_code == 200, report
    assert (report["calls"], report["changed"]) == (3, 3)
    assert report["groups"][0]["effect"] == "refused"
    assert Route.objects.get(pk=key).action == "route"
    assert Change.objects.count() == changes
    deleted = ask("post", "replay", {"kind": "routes", "key": str(key)}).json()
    assert deleted["changed"] == 3
    assert Route.objects.filter(pk=key).exists()
