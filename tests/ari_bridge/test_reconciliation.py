"""Comparing what is remembered with what a node holds: what is doubted, begun, ended or left."""

from dataclasses import replace

import pytest

from ari_bridge.gateway import AriClient
from ari_bridge.reconcile import Findings, Reconciler, compare
from calls.commands import Hangup
from calls.events import CallEntered, Doubted
from calls.mailbox import ATTEND, Mailboxes, connect
from calls.session import Phase, to_json
from tests.machine.world import (
    BRIDGE,
    CALL,
    A,
    b,
    dialling,
    plan,
    ringing,
    routing,
    target,
)
from tests.machine.world import talking as talking_world

NOW_MS = 1_795_444_800_000
NOTHING = Findings((), (), (), (), ())


def listed(name, state="Up", app="ringmaster", app_name="Stasis", created="2020-01-01"):
    return {
        "id": name,
        "name": "PJSIP/alice-00000001",
        "state": state,
        "caller": {"name": "", "number": "4930100"},
        "accountcode": "acme",
        "creationtime": f"{created}T00:00:00.000+0000",
        "dialplan": {"exten": "33123", "app_name": app_name, "app_data": app},
    }


def found(sessions=(), channels=(), bridges=(), live=None, over=(), now_ms=NOW_MS):
    live = {each.call_id for each in sessions} if live is None else set(live)
    return compare("demo", "ringmaster", sessions, list(channels), bridges, live, set(over), now_ms)


A_UP, B_UP = listed(A), listed(b())


@pytest.mark.parametrize(
    ("session", "channels", "doubtful"),
    [
        (talking_world().session, [A_UP, B_UP], False),
        (talking_world().session, [A_UP], True),
        (talking_world().session, [B_UP], True),
        (talking_world().session, [], True),
        (ringing().session, [listed(A, "Ring"), listed(b(), "Ringing")], False),
        (ringing().session, [listed(A, "Ring"), B_UP], True),
        (dialling().session, [listed(A, "Ring"), listed(b(), "Down")], False),
        (dialling().session, [listed(A, "Ring")], True),
        # What has not been created yet cannot be missed, and who waits for a route has no legs.
        (routing().session, [], False),
        # Something is about to be done for it: that will tell.
        (replace(talking_world().session, pending=(Hangup(A, 16),)), [], False),
        # What ends should have ended.
        (replace(talking_world().session, phase=Phase.ENDING), [A_UP, B_UP], True),
    ],
)
def test_a_call_is_doubted_where_its_channels_are_not_as_remembered(session, channels, doubtful):
    assert found([session], channels, [BRIDGE]) == replace(
        NOTHING, doubted=(CALL,) if doubtful else ()
    )


def test_a_leg_that_is_known_to_be_gone_is_not_missed():
    world = dialling(found=plan(target(), target("carrier-b")))
    world.end(b(1), 34, 503)
    world.hear_all()

    assert found([world.session], [listed(A, "Ring"), listed(b(2), "Down")], [BRIDGE]) == NOTHING


def test_a_caller_without_a_call_begins_one():
    (caller,) = found(channels=[listed(A, "Ring")]).entered

    assert (caller.channel_id, caller.recovered, caller.up) == (A, True, False)
    assert (caller.dialled, caller.account_code) == ("33123", "acme")


@pytest.mark.parametrize(
    "channel",
    [
        listed(A, app="other"),
        listed(A, app_name="Dial"),
        listed(A, app_name=""),
        listed(A, created="2026-11-23") | {"creationtime": "2026-11-23T14:39:59.000+0000"},
    ],
    ids=["another application", "in the dialplan", "nowhere", "entered just now"],
)
def test_who_is_not_ours_or_may_still_be_announced_begins_nothing(channel):
    assert found(channels=[channel]) == NOTHING


def test_an_application_with_arguments_is_still_ours():
    assert len(found(channels=[listed(A, "Ring", "ringmaster,from-carrier")]).entered) == 1


def test_a_live_call_is_not_begun_again_even_if_its_session_was_not_read():
    assert found(channels=[A_UP, B_UP], bridges=[BRIDGE], live={CALL}) == NOTHING


def test_legs_and_bridges_of_calls_that_are_no_more_are_ended():
    channels = [listed(b()), listed(f"{b(2)};1"), listed(f"{b(2)};2")]
    left_over = found(channels=channels, bridges=[BRIDGE, "somebody-elses"], over={CALL})

    assert left_over == replace(NOTHING, stray_channels=(b(),), stray_bridges=(BRIDGE,))


def test_a_call_that_redis_has_forgotten_is_told_and_left_alone():
    assert found(channels=[A_UP, B_UP], bridges=[BRIDGE]) == replace(NOTHING, forgotten=(CALL,))


def test_what_a_forgotten_call_leaves_behind_is_ended():
    assert found(channels=[B_UP], bridges=[BRIDGE]) == replace(
        NOTHING, stray_channels=(b(),), stray_bridges=(BRIDGE,)
    )
    assert found(channels=[A_UP]) == replace(NOTHING, stray_channels=(A,))


def test_a_caller_who_is_still_in_stasis_after_the_end_is_ended():
    assert found(channels=[A_UP], over={CALL}).stray_channels == (A,)


def test_other_programs_channels_and_bridges_are_left_alone():
    channels = [listed("9.9", app="other"), listed("9.10", app_name="Dial"), listed("9.b")]

    assert found(channels=channels[:2], bridges=["conf-1", "x.brx"]) == NOTHING


# --- On a node ---


class Collector:
    def __init__(self):
        self.posted = []

    def add(self, call, event):
        self.posted.append((call, event))


@pytest.fixture
async def mailboxes(redis_url, clean_redis):
    client = connect(redis_url)
    made = Mailboxes(client)
    await made.load_scripts()
    yield made
    await client.aclose()


@pytest.fixture
async def ari(double):
    client = AriClient(double.node)
    yield client
    await client.close()


@pytest.fixture
def collector():
    return Collector()


@pytest.fixture
def reconcile(mailboxes, collector, ari):
    async def reconcile():
        await Reconciler("ringmaster", mailboxes, collector).run("demo", ari)

    return reconcile


@pytest.fixture
def a_call(clean_redis):
    """A session that talks, which the node may or may not have."""
    session = talking_world().session
    clean_redis.hset(f"ringmaster:call:{CALL}", "session", to_json(session))
    clean_redis.zadd(ATTEND, {CALL: 2**52})
    return session


def put(double, name, state="Up"):
    double.enter(name)
    double.channels[name].state = state
    double.channels[name].created = "2020-01-01T00:00:00.000+0000"


async def test_a_call_that_the_node_has_is_left_alone(double, a_call, reconcile, collector):
    put(double, A)
    put(double, b())
    double.bridges[BRIDGE] = [A, b()]
    await reconcile()

    assert collector.posted == []
    assert not [each for each in double.requests if each.startswith("DELETE")]


async def test_a_call_that_the_node_has_not_is_doubted(a_call, reconcile, collector, caplog):
    await reconcile()

    ((call, event),) = collector.posted
    assert call == CALL
    assert isinstance(event, Doubted)
    assert "1 calls are not as remembered" in caplog.text


async def test_what_waits_in_the_mailbox_is_taken_into_account(
    double, a_call, reconcile, collector, mailboxes
):
    """The end has been heard and only not been read: there is nothing to doubt."""
    world = talking_world()
    world.end(b())
    world.end(A)
    await mailboxes.post([(CALL, event) for event in world.told])
    await reconcile()

    assert collector.posted == []


async def test_a_missed_caller_and_leftovers_are_set_right(double, reconcile, collector):
    put(double, A, "Ring")
    put(double, "7.7.b1")
    double.bridges["7.7.br"] = []
    double.bridges["conference"] = []
    await reconcile()

    ((call, event),) = collector.posted
    assert call == CALL
    assert isinstance(event, CallEntered)
    assert event.recovered
    assert sorted(double.bridges) == ["conference"]
    assert sorted(double.channels) == [A]


async def test_a_finished_call_is_not_begun_again(double, reconcile, collector, clean_redis):
    put(double, A)
    clean_redis.hset(f"ringmaster:call:{CALL}", "over", 1)
    await reconcile()

    assert collector.posted == []
    assert double.channels == {}


@pytest.mark.parametrize("path", ["/channels", "/bridges"])
@pytest.mark.parametrize("fault", [500, 503, "dropped"])
async def test_a_failed_or_partial_listing_changes_nothing(
    double, a_call, reconcile, collector, caplog, path, fault
):
    put(double, "7.7.b1")
    double.bridges["7.7.br"] = []
    double.fail("GET", path, fault, times=1000)
    await reconcile()

    assert collector.posted == []
    assert not [each for each in double.requests if each.startswith("DELETE")]
    assert "could not be compared, nothing is changed" in caplog.text


async def test_a_mailbox_that_cannot_be_read_hides_no_other_call(
    a_call, reconcile, collector, clean_redis
):
    clean_redis.rpush("ringmaster:mail:demo:7.7", b'["unheard of"]')
    clean_redis.zadd(ATTEND, {"demo:7.7": 2**52})
    await reconcile()

    assert [call for call, _ in collector.posted] == [CALL]


async def test_another_nodes_calls_are_not_doubted(double, reconcile, collector, clean_redis):
    session = replace(talking_world().session, call_id="other:1.2")
    clean_redis.hset("ringmaster:call:other:1.2", "session", to_json(session))
    clean_redis.zadd(ATTEND, {"other:1.2": 2**52})
    await reconcile()

    assert collector.posted == []
