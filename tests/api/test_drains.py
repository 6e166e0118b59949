"""A program of the staff drains a node, a trunk, a worker or the switch, and sees what is left."""

import pytest
import redis as redis_library
from django.contrib.auth.models import Group, User

from calls.api import drains as address
from calls.models import Change, Drain, Trunk
from calls.store import config_version
from calls.store.heartbeats import PREFIX
from calls.store.limit_book import read_book
from calls.store.mailbox import ATTEND
from project.access.roles import OPERATOR
from tests.api.test_who_may_ask import problem

WRITES = [
    ("put", "drains/switch", {}),
    ("put", "drains/node/pbx1", {}),
    ("delete", "drains/switch", None),
    ("delete", "drains/node/pbx1", None),
]


@pytest.fixture(autouse=True)
def redis(clean_redis, settings):
    settings.ARI_NODES = {"pbx1": None, "pbx2": None}
    return clean_redis


@pytest.fixture
def ask(boss, program):
    return program(boss)


@pytest.fixture
def workers(redis):
    for name in ("host:1", "host:2"):
        redis.set(f"{PREFIX}calls:{name}", '{"started_ms": 1, "note": "3 turns"}', px=60_000)


def test_a_node_is_drained_looked_at_until_it_is_empty_and_taken_back(ask, redis):
    redis.zadd(ATTEND, {"pbx1:1.1": 9_000_000_000_000, "pbx2:1.2": 9_000_000_000_000})
    answer = ask("put", "drains/node/pbx1", {"why": "new kernel"})
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["kind"], told["name"], told["state"], told["left"]) == (
        "node",
        "pbx1",
        "draining",
        1,
    )
    assert (told["by"], told["why"]) == ("token crm-1", "new kernel")
    assert read_book().drained.nodes == {"pbx1": "new kernel"}
    redis.zrem(ATTEND, "pbx1:1.1")
    assert ask("get", "drains/node/pbx1").json() == told | {"state": "empty", "left": 0}
    assert ask("get", "drains").json()["rows"] == [told | {"state": "empty", "left": 0}]
    assert ask("delete", "drains/node/pbx1").status_code == 204
    assert read_book().drained.nodes == {}
    problem(ask("get", "drains/node/pbx1"), 404, "not-found")
    problem(ask("delete", "drains/node/pbx1"), 404, "not-found")


def test_the_switch_a_trunk_and_a_worker_are_drained(ask, workers):
    Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")
    for path in ("switch", "trunk/carrier-a", "worker/host:1"):
        assert ask("put", f"drains/{path}", {}).status_code == 200, path
        assert ask("get", f"drains/{path}").json()["kind"] in path
    assert len(ask("get", "drains").json()["rows"]) == 3
    drained = read_book().drained
    assert (drained.switch, drained.trunks) == ("", {"carrier-a"})
    for path in ("switch", "trunk/carrier-a", "worker/host:1"):
        assert ask("delete", f"drains/{path}").status_code == 204
    assert ask("get", "drains").json()["rows"] == []


def test_again_it_is_the_same_drain(ask):
    first = ask("put", "drains/switch", {"why": "move"}).json()
    assert ask("put", "drains/switch", {"why": "else"}).json() == first
    assert Drain.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_workers_are_told_anew_where_it_is_asked_for_again(program, roles, redis):
    ask = program(roles)
    for told in (1, 2):
        ask("put", "drains/node/pbx1", {})
        assert int(redis.get(config_version.KEY)) == told


def test_what_is_not_there_or_must_not_be_is_not_drained(ask, redis, workers):
    for path in ("node/pbx9", "trunk/none", "worker/host:9"):
        problem(ask("put", f"drains/{path}", {}), 404, "not-found")
    assert ask("put", "drains/worker/host:1", {}).status_code == 200
    told = problem(ask("put", "drains/worker/host:2", {}), 409, "cannot-drain")
    assert "the only one that attends to calls" in told["detail"]
    problem(ask("put", "drains/house/pbx1", {}), 422, "invalid")
    problem(ask("put", "drains/switch", {"why": "x" * 201}), 422, "invalid")
    assert not Drain.objects.exists()


def test_the_audit_log_names_the_token(boss, ask):
    ask("put", "drains/switch", {})
    ask("delete", "drains/switch")
    changes = Change.objects.filter(object_repr="the switch").order_by("id")
    assert [each.action for each in changes] == [Change.Action.CREATE, Change.Action.DELETE]
    assert {(each.who, each.via, each.actor) for each in changes} == {("token crm-1", "API", boss)}


@pytest.mark.parametrize(("method", "path", "told"), WRITES)
def test_only_who_may_in_the_admin_and_has_the_scope(program, boss, acme, method, path, told):
    looker = User.objects.create_user("olga", is_staff=True)
    looker.groups.add(Group.objects.get(name=OPERATOR))
    problem(program(boss, "config:read config:write")(method, path, told), 403, "no-scope")
    problem(program(acme)(method, path, told), 403, "no-scope")
    problem(program(looker)(method, path, told), 403, "no-permission")
    assert program(looker)("get", "drains").status_code == 200
    problem(program(acme)("get", "drains"), 403, "staff-only")
    assert not Drain.objects.exists()


def test_a_redis_that_is_away_is_said(ask, monkeypatch):
    def away():
        raise redis_library.ConnectionError

    monkeypatch.setattr(address, "drains", away)
    problem(ask("get", "drains"), 503, "redis-away")
    problem(ask("put", "drains/switch", {}), 503, "redis-away")
