"""Draining, by command, admin and program: workers learn of it, and what is left is counted."""

import asyncio
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from calls.engine.draining import CannotDrain, Kind, drain, drains, end_drain
from calls.engine.tap import Tap
from calls.machine.session import to_json
from calls.models import Change, Drain, Trunk
from calls.store import config_version
from calls.store.drains import drain_key
from calls.store.heartbeats import PREFIX
from calls.store.limit_book import read_book
from calls.store.mailbox import ATTEND, call_key
from tests.machine.world import dialling, plan, talking, target

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nodes(settings, redis_url, clean_redis):
    settings.REDIS_URL = redis_url
    settings.ARI_NODES = {"pbx1": None, "pbx2": None}


@pytest.fixture
def trunk():
    return Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")


@pytest.fixture
def workers(clean_redis):
    """Two that live; the first is in three turns."""
    for name, note in (("host:1", "drained, 3 turns"), ("host:2", "1 turn")):
        clean_redis.set(
            f"{PREFIX}calls:{name}", f'{{"started_ms": 1, "note": "{note}"}}', px=60_000
        )


def put(client, call, session=None):
    client.zadd(ATTEND, {call: 9_000_000_000_000})
    if session is not None:
        client.hset(call_key(call), "session", to_json(session))


def left(kind, name=""):
    (only,) = [each for each in drains() if (each.kind, each.name) == (kind, name)]
    return only.left


def run(*arguments):
    out = StringIO()
    call_command("drain", *arguments, stdout=out)
    return out.getvalue()


def test_workers_read_what_is_drained_with_the_limits_and_are_told_of_it(clean_redis, trunk):
    before = int(clean_redis.get(config_version.KEY) or 0)
    drain(Kind.NODE, "pbx1", by="alice", why="new kernel")
    drain(Kind.TRUNK, "carrier-a", by="alice")
    drained = read_book().drained

    assert drained.nodes == {"pbx1": "new kernel"}
    assert drained.trunks == {"carrier-a"}
    assert drained.switch is None
    assert int(clean_redis.get(config_version.KEY)) == before + 2

    assert end_drain(Kind.NODE, "pbx1")
    assert not end_drain(Kind.NODE, "pbx1")
    assert read_book().drained.nodes == {}
    assert int(clean_redis.get(config_version.KEY)) == before + 3


def test_a_trunk_that_is_renamed_stays_drained(trunk):
    drain(Kind.TRUNK, "carrier-a", by="alice")
    trunk.name = "carrier-b"
    trunk.save()
    assert read_book().drained.trunks == {"carrier-b"}


def test_draining_twice_is_one_drain_that_stays_as_it_was():
    drain(Kind.SWITCH, by="alice", why="move")
    drain(Kind.SWITCH, by="bob")
    assert read_book().drained.switch == "move"
    with pytest.raises(IntegrityError):
        Drain.objects.create(kind="switch")


def test_who_drained_what_is_in_the_audit_log():
    drain(Kind.SWITCH, by="alice", why="move")
    end_drain(Kind.SWITCH)
    assert [each.action for each in Change.objects.order_by("id")] == [
        Change.Action.CREATE,
        Change.Action.DELETE,
    ]


def test_what_is_left_of_a_node_and_of_the_switch_are_the_calls_that_are_up(clean_redis):
    for call in ("pbx1:1.1", "pbx1:1.2", "pbx2:1.3"):
        put(clean_redis, call)
    drain(Kind.NODE, "pbx1", by="alice")
    drain(Kind.SWITCH, by="alice")
    assert (left(Kind.NODE, "pbx1"), left(Kind.SWITCH)) == (2, 3)


def test_what_is_left_of_a_trunk_are_calls_on_it_and_those_that_may_still_come_to_it(
    clean_redis, trunk
):
    put(clean_redis, "pbx1:1.1", talking().session)
    hunting = dialling(found=plan(target("carrier-b"), target("carrier-a")))
    put(clean_redis, "pbx1:1.2", hunting.session)
    elsewhere = dialling(found=plan(target("carrier-b")))
    put(clean_redis, "pbx1:1.3", elsewhere.session)
    put(clean_redis, "pbx1:1.4")
    drain(Kind.TRUNK, "carrier-a", by="alice")
    assert left(Kind.TRUNK, "carrier-a") == 2


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        (Kind.NODE, "pbx9", "There is no node 'pbx9' in ARI_NODES here, which names pbx1, pbx2."),
        (Kind.TRUNK, "none", "There is no trunk 'none'."),
        (Kind.WORKER, "host:9", "There is no calls worker 'host:9'; those that live: none at all."),
    ],
)
def test_what_is_not_there_cannot_be_drained(kind, name, words):
    with pytest.raises(CannotDrain, match=words.replace(".", r"\.")):
        drain(kind, name, by="alice")


@pytest.mark.usefixtures("workers")
def test_a_worker_is_drained_while_another_one_is_there(clean_redis):
    drain(Kind.WORKER, "host:1", by="alice")
    assert clean_redis.exists(drain_key("host:1"))
    assert left(Kind.WORKER, "host:1") == 3
    with pytest.raises(CannotDrain, match="the only one that attends to calls"):
        drain(Kind.WORKER, "host:2", by="alice")
    assert end_drain(Kind.WORKER, "host:1")
    assert drains() == []


def test_the_tap_is_turned_on_the_consumers_own_thread_and_stays_shut_over_a_reconnect():
    def consumer():
        done = []
        return SimpleNamespace(
            done=done,
            call_soon=lambda what, queue: what(queue),
            cancel_task_queue=lambda queue: done.append(("cancel", queue)),
            add_task_queue=lambda queue: done.append(("add", queue)),
        )

    tap, first, second = Tap(), consumer(), consumer()
    tap.connect(first, "calls")
    assert tap.turn(shut=True)
    assert not tap.turn(shut=True)
    assert first.done == [("cancel", "calls")]
    tap.connect(second, "calls")
    assert tap.is_shut
    assert tap.turn(shut=False)
    assert second.done == [("cancel", "calls"), ("add", "calls")]
    assert first.done == [("cancel", "calls")]


def test_the_command_drains_shows_waits_and_ends(clean_redis):
    put(clean_redis, "pbx1:1.1")
    shown = run("node", "pbx1", "--why", "new kernel")
    assert "node pbx1 has been drained by" in shown
    assert shown.endswith("(new kernel): 1 call left.\n")
    assert run() == shown
    with pytest.raises(CommandError, match="1 are left after 0 s"):
        run("node", "pbx1", "--wait", "--timeout", "0")
    clean_redis.delete(ATTEND)
    assert run("node", "pbx1", "--wait").endswith("Empty.\n")
    assert run("node", "pbx1", "--end") == "It takes new calls again.\n"
    assert run() == "Nothing is drained.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("node",), "Say which node"),
        (("switch", "x"), "The switch has no name"),
        (("node", "pbx9"), "There is no node"),
    ],
)
def test_the_command_says_what_it_cannot_do(arguments, words):
    with pytest.raises(CommandError, match=words):
        run(*arguments)


def test_the_admin_drains_and_ends_it(admin_client, clean_redis, trunk):
    put(clean_redis, "pbx1:1.1")
    answer = admin_client.post(
        "/admin/calls/drain/add/", {"kind": "node", "node": "pbx1", "why": "new kernel"}
    )
    assert answer.status_code == 302
    drained = Drain.objects.get()
    assert (drained.node, drained.by) == ("pbx1", "admin")
    shown = admin_client.get("/admin/calls/drain/?all=1").content.decode()
    assert "node pbx1" in shown
    assert "new kernel" in shown
    front = admin_client.get("/admin/").content.decode()
    assert "Node pbx1 has been drained by admin" in front
    assert "1 call left" in front
    admin_client.post("/admin/calls/drain/", {"action": "end", "_selected_action": [drained.pk]})
    assert not Drain.objects.exists()


@pytest.mark.parametrize(
    "form", [{"kind": "node"}, {"kind": "trunk"}, {"kind": "node", "node": "pbx9"}]
)
def test_the_admin_wants_to_know_what(admin_client, form):
    assert admin_client.post("/admin/calls/drain/add/", form).status_code == 200
    assert not Drain.objects.exists()


def test_a_switch_that_is_drained_shows_in_the_explanation_of_every_number():
    from calls.models import Account, Route, RouteTarget
    from calls.whatif.explanation import explain

    account = Account.objects.create(code="acme", name="Acme", allowed_prefixes="")
    route = Route.objects.create(prefix="33")
    trunk = Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")
    RouteTarget.objects.create(route=route, trunk=trunk, priority=1)
    asked = {"account": account.code, "at_ms": 1_764_000_000_000}
    assert explain("+33123456789", **asked).routed

    drain(Kind.TRUNK, "carrier-a", by="alice")
    assert "trunk carrier-a is drained" in explain("+33123456789", **asked).verdict
    end_drain(Kind.TRUNK, "carrier-a")
    drain(Kind.SWITCH, by="alice", why="move")
    found = explain("+33123456789", **asked)
    assert "the switch is drained and takes no new calls (move)" in found.verdict
    assert "(cause 42)" in found.verdict


def test_the_engine_asks_nobody_more_for_a_drain_than_for_the_limits(clean_redis):
    """What is drained comes with the book: no query of its own for a call."""
    from django.conf import settings
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from calls.limits.draining import Drained
    from calls.limits.rules import bind
    from calls.routing.choice import Refusal
    from calls.store.counters import Limits
    from calls.store.mailbox import connect
    from tests.limits.conftest import OpenBook

    async def ask():
        limits = Limits(
            connect(settings.REDIS_URL), OpenBook(bind([], {}, Drained(nodes={"pbx1": ""})))
        )
        try:
            return [await limits.guard(plan(), 0, 1_000, node) for node in ("pbx1", "pbx2")]
        finally:
            await limits.close()

    with CaptureQueriesContext(
        connection,
    ) as queries:
        refused, guarded = asyncio.run(ask())
    assert isinstance(refused, Refusal)
    assert not isinstance(guarded, Refusal)
    assert len(queries) == 0
