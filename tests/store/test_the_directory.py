"""Routes from the database: one query a call at most, remembered, and never stale for long."""

import asyncio
import threading

import pytest
from django.db import OperationalError, connection

from calls.errors import RoutingUnavailable, TrunkRefused
from calls.models import Account, Route, RouteTarget, Trunk
from calls.routing.choice import CallFacts, Plan
from calls.store import directory as directory_module
from calls.store.directory import REMEMBERED_S, REST_S, Directory

pytestmark = pytest.mark.django_db(transaction=True)


class Database:
    """Counts the directory's statements; fails or stalls them on demand."""

    def __init__(self):
        self.statements = []
        self.fault = None
        self.stalled = None
        self._rows = directory_module.look_up

    def rows(self, *key):
        if self.stalled is not None:
            self.stalled.wait(10)
        with connection.execute_wrapper(self._watch):
            return self._rows(*key)

    def _watch(self, execute, sql, params, many, context):
        self.statements.append(sql)
        if self.fault is not None:
            raise self.fault
        return execute(sql, params, many, context)


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def database(monkeypatch):
    found = Database()
    monkeypatch.setattr(directory_module, "look_up", found.rows)
    return found


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def directory(database, clock):
    found = Directory(7200, clock)
    yield found
    found.close()


@pytest.fixture
def routes():
    account = Account.objects.create(code="acme", name="Acme", max_call_s=60)
    Account.objects.create(code="alice", name="Alice")
    trunk = Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a", strip_digits=2)
    other = Trunk.objects.create(
        name="b", dial_string="PJSIP/{number}@b", caller_id="999", caller_id_policy="fixed"
    )
    for prefix, whose, to in (("49", None, trunk), ("4930", account, other)):
        route = Route.objects.create(prefix=prefix, account=whose)
        RouteTarget.objects.create(route=route, trunk=to)
    Route.objects.create(prefix="493", enabled=False, action=Route.Action.BLOCK)
    Route.objects.create(prefix="4999", action=Route.Action.BLOCK)


def facts(dialled="49401", *keys):
    return CallFacts("demo:1", dialled, "442079", keys or ("acme", "PJSIP"), 0)


def endpoints(plan):
    return [target.endpoint for target in plan.targets]


async def test_a_call_takes_one_query_with_everything_it_needs(directory, database, routes):
    plan = await directory.find(facts(), 0)

    assert (plan.account, plan.route, plan.max_call_s) == ("acme", "49 (all)", 60)
    assert endpoints(plan) == ["PJSIP/401@a"]
    assert len(database.statements) == 1


async def test_the_next_call_to_the_same_number_takes_none(directory, database, routes):
    first = await directory.find(facts(), 0)
    assert await directory.find(facts(), 0) == first

    assert len(database.statements) == 1


@pytest.mark.parametrize(
    ("dialled", "keys", "expected"),
    [
        ("49301", ("acme",), "4930 (acme)"),
        ("49301", ("alice",), "49 (all)"),
        ("49999", ("alice",), "blocked"),
        ("33123", ("alice",), "no_route"),
        ("33", ("alice",), "invalid_number"),
        ("49301", ("nobody",), "unauthorized"),
        ("49301'; DROP TABLE calls_route; --", ("acme",), "invalid_number"),
        ("49301", ("x'; DROP TABLE calls_route; --",), "unauthorized"),
    ],
)
async def test_rows_and_choice_together(directory, database, routes, dialled, keys, expected):
    found = await directory.find(facts(dialled, *keys), 0)

    assert (found.route if isinstance(found, Plan) else found.disposition) == expected
    assert len(database.statements) == 1


async def test_a_caller_without_any_key_is_refused_without_a_query(directory, database):
    found = await directory.find(CallFacts("demo:1", "49301", "", (), 0), 0)

    assert found.disposition == "unauthorized"
    assert database.statements == []


async def test_a_change_is_seen_by_the_next_call(directory, database, routes):
    await directory.find(facts(), 0)
    database.statements.clear()
    await _change("PJSIP/{number}@new")
    plan = await directory.find(facts(), 1)

    assert endpoints(plan) == ["PJSIP/401@new"]
    assert len(database.statements) == 1


async def _change(dial_string):
    def change():
        Trunk.objects.filter(name="a").update(dial_string=dial_string)
        connection.close()

    await asyncio.to_thread(change)


async def test_a_change_whose_word_was_lost_is_seen_within_a_minute(
    directory, database, routes, clock
):
    await directory.find(facts(), 0)
    await _change("PJSIP/{number}@new")
    clock.now_s += REMEMBERED_S - 0.001
    assert endpoints(await directory.find(facts(), 0)) == ["PJSIP/401@a"]
    clock.now_s += 0.001

    assert endpoints(await directory.find(facts(), 0)) == ["PJSIP/401@new"]


async def test_a_known_number_is_routed_with_the_database_gone(
    directory, database, routes, clock, caplog
):
    known = await directory.find(facts(), 0)
    database.fault = OperationalError("server closed the connection\nDETAIL: more")
    clock.now_s += 86_400

    assert await directory.find(facts(), 5) == known
    assert "server closed the connection); routing by what is remembered" in caplog.text


async def test_an_unknown_number_is_refused_with_a_sentence(directory, database, routes):
    database.fault = OperationalError("server closed the connection\nDETAIL: more")

    with pytest.raises(RoutingUnavailable) as raised:
        await directory.find(facts(), 0)
    assert str(raised.value) == (
        "the routing database does not answer: server closed the connection"
    )
    refusal = directory.unavailable(facts(), str(raised.value))
    assert (refusal.disposition, refusal.cause) == ("congestion", 41)


async def test_known_numbers_do_not_wait_for_a_database_that_has_just_failed(
    directory, database, routes, clock
):
    await directory.find(facts(), 0)
    database.fault = OperationalError("gone")
    await directory.find(facts(), 1)
    asked = len(database.statements)
    await directory.find(facts(), 1)
    assert len(database.statements) == asked

    database.fault = None
    clock.now_s += REST_S
    await _change("PJSIP/{number}@new")
    assert endpoints(await directory.find(facts(), 1)) == ["PJSIP/401@new"]


async def test_a_database_that_only_hangs_is_given_up(
    directory, database, routes, clock, monkeypatch
):
    known = await directory.find(facts(), 0)
    monkeypatch.setattr(directory_module, "QUERY_S", 0)
    database.stalled = threading.Event()
    try:
        assert await directory.find(facts(), 1) == known
        with pytest.raises(RoutingUnavailable, match="no answer within 0 s"):
            await directory.find(facts("49402"), 1)
    finally:
        database.stalled.set()


async def test_no_more_is_remembered_than_there_is_room_for(
    directory, database, routes, monkeypatch
):
    monkeypatch.setattr(directory_module, "REMEMBERED", 2)
    for number in ("491", "492", "491", "493"):
        await directory.find(facts(number), 0)
    database.statements.clear()
    await directory.find(facts("491"), 0)
    assert database.statements == []

    await directory.find(facts("492"), 0)
    assert len(database.statements) == 1


async def test_a_directory_that_starts_without_its_database_says_so(directory, database, caplog):
    database.fault = OperationalError("connection refused")
    await directory.warm()

    assert "calls are refused until it does: connection refused" in caplog.text


# --- The endpoint is built when it is dialled -----------------------------------------------------


async def test_the_trunk_of_a_route_just_found_costs_no_query(directory, database, routes):
    await directory.find(facts(), 0)
    asked = len(database.statements)

    assert await directory.endpoint("a", "401", 0) == "PJSIP/401@a"
    assert len(database.statements) == asked


async def test_a_trunk_that_was_changed_meanwhile_is_dialled_as_it_is_now(
    directory, database, routes
):
    await directory.find(facts(), 0)
    await _change("PJSIP/{number}@other")

    assert await directory.endpoint("a", "401", 1) == "PJSIP/401@other"


@pytest.mark.parametrize(
    ("dial_string", "number", "why"),
    [
        ("PJSIP/{number}@a", "401@evil", "is no number"),
        ("PJSIP/{number}@a", "", "is no number"),
        ("PJSIP/{number}@a", "1&Local/2@from-callers", "is no number"),
        ("UnicastRTP/192.0.2.1:5000/{number}", "401", "technology 'UnicastRTP'"),
        ("Local/{number}@from-callers", "401", "context 'from-callers'"),
    ],
)
async def test_what_may_not_be_dialled_is_refused_here_too(
    directory, routes, dial_string, number, why
):
    await _change(dial_string)

    with pytest.raises(TrunkRefused, match=why):
        await directory.endpoint("a", number, 1)


async def test_there_is_no_such_trunk(directory, routes):
    with pytest.raises(TrunkRefused, match="there is no trunk 'x'"):
        await directory.endpoint("x", "401", 0)


async def test_with_the_database_away_only_a_trunk_that_is_remembered_is_dialled(
    directory, database, routes, monkeypatch
):
    await directory.find(facts(), 0)

    def away(trunk):
        raise OperationalError("it is away")

    monkeypatch.setattr(directory_module, "look_up_dial_string", away)

    assert await directory.endpoint("a", "401", 7) == "PJSIP/401@a"
    with pytest.raises(RoutingUnavailable, match="it is away"):
        await directory.endpoint("b", "401", 7)
