"""`manage.py live_calls` and what it rests on, with a real Redis."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from ari_bridge.node import AriNode
from calls.engine.live import LiveState, live_calls
from calls.machine.beginning import begin
from calls.machine.events import CallEntered, ChannelRinging, RouteChosen
from calls.machine.table import decide
from calls.routing.choice import Plan, Target
from calls.store.mailbox import Mailboxes, connect


def entered(channel: str, at_ms: int, dialled: str = "4930231250") -> CallEntered:
    return CallEntered(channel, at_ms, "PJSIP/alice-00000001", dialled, "alice", "Alice", "acme")


@pytest.fixture
async def mailboxes(clean_redis, redis_url):
    async with connect(redis_url) as client:
        boxes = Mailboxes(client)
        await boxes.load_scripts()
        yield boxes


def listed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("live_calls", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def two_calls(clean_redis, redis_url):
    """One call on each of two nodes, the younger on pbx1; it dials a terminal's escape."""
    import asyncio

    async def post() -> None:
        async with connect(redis_url) as client:
            boxes = Mailboxes(client)
            await boxes.load_scripts()
            await boxes.post(
                [
                    ("pbx1:1.2", entered("1.2", 2_000, dialled="49\x1b[2J")),
                    ("pbx2:1.1", entered("1.1", 1_000)),
                ]
            )

    asyncio.run(post())


async def test_a_session_is_read_together_with_the_events_that_came_after_its_save(mailboxes):
    call = "pbx1:1.1"
    await mailboxes.post([(call, entered("1.1", 1_000))])
    taken = await mailboxes.take(call, "token")
    target = Target("carrier-a", "PJSIP/4930231250@carrier-a", "4930231250", "", 30)
    plan = Plan("acme", "4930231250", "", "49", "49 (all)", 3600, (target,))
    session = decide(begin(call, taken.events[0]), RouteChosen(1_100, plan))
    await mailboxes.save(session, "token", handled=1)
    await mailboxes.post([(call, ChannelRinging("1.1.b1", 1_500))])

    (seen,) = await live_calls(mailboxes)

    assert (seen.call_id, seen.state, seen.since_ms) == (call, LiveState.RINGING, 1_500)


async def test_a_finished_call_is_not_listed(mailboxes):
    await mailboxes.post([("pbx1:1.1", entered("1.1", 1_000))])
    await mailboxes.take("pbx1:1.1", "token")
    await mailboxes.finish("pbx1:1.1", "token", b"{}")
    assert await live_calls(mailboxes) == []


async def test_looking_changes_nothing_in_redis(mailboxes, clean_redis):
    await mailboxes.post([("pbx1:1.1", entered("1.1", 1_000))])
    before = {key: clean_redis.dump(key) for key in clean_redis.scan_iter()}
    assert len(await live_calls(mailboxes)) == 1
    assert {key: clean_redis.dump(key) for key in clean_redis.scan_iter()} == before


async def test_a_mailbox_with_something_else_in_it_hides_no_call(mailboxes, clean_redis, caplog):
    await mailboxes.post([("pbx1:1.1", entered("1.1", 1_000)), ("pbx1:1.2", entered("1.2", 1))])
    clean_redis.rpush("ringmaster:mail:pbx1:1.1", b"no event")
    clean_redis.hset("ringmaster:call:pbx1:1.2", "session", b"no session")
    assert [call.call_id for call in await live_calls(mailboxes)] == ["pbx1:1.1"]
    assert "Call pbx1:1.2 cannot be shown" in caplog.text


def test_calls_are_listed_oldest_first_as_json(two_calls):
    lines = [json.loads(line) for line in listed("--json").splitlines()]
    assert [line["call_id"] for line in lines] == ["pbx2:1.1", "pbx1:1.2"]
    assert lines[0]["state"] == "routing"
    assert lines[0]["caller"] == "alice"


def test_one_nodes_calls_alone(two_calls, settings):
    settings.ARI_NODES = {"pbx1": AriNode("pbx1", "http://127.0.0.1:8088", "u", "p")}
    (line,) = listed("--json", "--node", "pbx1").splitlines()
    assert json.loads(line)["call_id"] == "pbx1:1.2"


def test_the_table_shows_hostile_numbers_harmless(two_calls):
    shown = listed()
    assert r"49\x1b[2J" in shown
    assert "\x1b" not in shown
    assert "2 live calls" in shown


def test_no_call_is_told_as_such(clean_redis):
    assert "0 live calls" in listed()


def test_an_unknown_node_is_refused_by_name():
    with pytest.raises(CommandError, match="ARI_NODES has no node 'moon'"):
        listed("--node", "moon")


def test_a_redis_that_does_not_answer_is_named(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(CommandError, match=r"Redis \(REDIS_URL\).*does not answer"):
        listed()
