"""Comparisons with a node: what is doubted, rebuilt, or ended."""

import pytest
from msgspec.structs import replace

from ari_bridge import reconcile as reconcile_module
from ari_bridge.client import AriClient
from ari_bridge.clocks import NodeClocks
from ari_bridge.heard import Heard
from ari_bridge.reconcile import Reconciler
from calls import ids
from calls.clock import wall_clock_ms
from calls.machine.events import CallFound, ChannelAnswered, Doubted
from calls.machine.session import to_json
from calls.store.mailbox import ATTEND, Mailboxes, connect
from tests.machine.world import BRIDGE, CALL, A, b, entered, plan, ringing, target
from tests.machine.world import talking as talking_world

PHONE = ids.ordered_channel("token:1", "key", "20261129")

# --- On a node ---


class Collector:
    def __init__(self):
        self.events = []

    def add(self, call, event):
        self.events.append((call, event))

    async def posted(self):
        """Everything is."""


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
def reconcile(mailboxes, collector, ari, heard):
    async def reconcile():
        await Reconciler("ringmaster", mailboxes, collector).run("demo", ari, heard)

    return reconcile


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(reconcile_module, "SECOND_LOOK_S", 0.001)
    monkeypatch.setattr(reconcile_module, "PORTION_S", 0.001)


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


async def called(double, ari, left):
    """A phone is called, with this left on its channel."""
    asked = {"endpoint": "PJSIP/alice", "app": "ringmaster", "channelId": PHONE}
    variables = {"variables": {"RINGMASTER_ORDER": left}}
    double.apps["ringmaster"] = None
    double._tell_app = lambda *args, **facts: None
    assert (await ari.request("POST", "/channels/create", asked, variables)).ok
    double.let_enter()


async def test_a_call_that_the_node_has_is_left_alone(double, a_call, reconcile, collector):
    put(double, A)
    put(double, b())
    double.bridges[BRIDGE] = [A, b()]
    await reconcile()

    assert collector.events == []
    assert not [each for each in double.requests if each.startswith("DELETE")]


async def test_a_call_that_the_node_has_not_is_doubted(a_call, reconcile, collector, caplog):
    await reconcile()

    ((call, event),) = collector.events
    assert call == CALL
    assert isinstance(event, Doubted)
    assert "1 calls are not as remembered" in caplog.text


async def test_an_answer_that_nobody_took_in_is_told_with_its_time(
    double, reconcile, collector, heard, clean_redis
):
    session = ringing().session
    clean_redis.hset(f"ringmaster:call:{CALL}", "session", to_json(session))
    clean_redis.zadd(ATTEND, {CALL: 2**52})
    put(double, A)
    put(double, b())
    heard.note(ChannelAnswered(b(), 77))
    await reconcile()

    (_, answered), (_, doubted) = collector.events
    assert answered == ChannelAnswered(b(), 77)
    assert isinstance(doubted, Doubted)


async def test_a_call_whose_session_is_from_before_its_attempt_catches_up(
    double, reconcile, collector, heard, clean_redis, caplog
):
    clean_redis.hset(f"ringmaster:call:{CALL}", "session", to_json(ringing().session))
    clean_redis.zadd(ATTEND, {CALL: 2**52})
    put(double, A)
    put(double, b(2))
    double.channels[b(2)].variables["RINGMASTER_CALL"] = "what was left on it"
    heard.note(ChannelAnswered(b(2), 77))
    await reconcile()

    ((call, found),) = collector.events
    assert call == CALL
    assert isinstance(found, CallFound)
    assert (found.legs, found.answered_ms) == (((2, "Up"),), 77)
    assert (found.present, found.digest) == (True, "what was left on it")
    assert "1 calls are not as remembered, 0 of which nothing was remembered" in caplog.text


async def test_an_attempt_that_began_between_session_and_listing_is_no_news(
    double, reconcile, collector, clean_redis, monkeypatch
):
    """The first look reads a session from before the attempt, the second one from after it."""
    world = ringing(found=plan(target(), target("carrier-b")))
    clean_redis.hset(f"ringmaster:call:{CALL}", "session", to_json(world.session))
    clean_redis.zadd(ATTEND, {CALL: 2**52})
    put(double, A)
    put(double, b(2))
    world.end(b(), 34, 503)
    world.hear_all()
    world.answer(b(2))
    world.hear_all()

    async def saved():
        clean_redis.hset(f"ringmaster:call:{CALL}", "session", to_json(world.session))

    monkeypatch.setattr(collector, "posted", saved)
    await reconcile()

    assert collector.events == []


async def test_what_waits_in_the_mailbox_is_taken_into_account(
    double, a_call, reconcile, collector, mailboxes
):
    """The end has been heard and only not been read: there is nothing to doubt."""
    world = talking_world()
    world.end(b())
    world.end(A)
    await mailboxes.post([(CALL, event) for event in world.told])
    await reconcile()

    assert collector.events == []


async def test_a_missed_caller_begins_a_call_and_leftovers_end(
    double, reconcile, collector, clean_redis
):
    put(double, A, "Ring")
    put(double, "7.7.b1")
    double.bridges["7.7.br"] = []
    double.bridges["8.8.br"] = []
    double.bridges["conference"] = []
    clean_redis.hset("ringmaster:call:demo:8.8", "over", 1)
    await reconcile()

    ((call, event),) = collector.events
    assert call == CALL
    assert isinstance(event, CallFound)
    assert (event.present, event.up, event.legs, event.dialled) == (True, False, (), "33123")
    assert sorted(double.bridges) == ["conference"]
    assert sorted(double.channels) == [A]


@pytest.mark.parametrize("ahead_ms", [-3_600_000, 0, 3_600_000])
async def test_a_caller_who_has_just_entered_is_found_whatever_the_clocks_say(
    double, reconcile, collector, heard, monkeypatch, ahead_ms
):
    double.enter(A)
    ours = NodeClocks(wall_ms=lambda: wall_clock_ms() + ahead_ms)
    monkeypatch.setattr(reconcile_module, "NodeClocks", lambda: ours)
    await reconcile()

    ((_, event),) = collector.events
    assert isinstance(event, CallFound)


async def test_who_talks_is_rebuilt_before_who_waits(double, reconcile, collector, monkeypatch):
    """And those in portions, so that a crowd does not choke the node it waits on."""
    monkeypatch.setattr(reconcile_module, "PORTION", 2)
    for number in range(5):
        put(double, f"{number}.1", "Ring")
    put(double, A)
    put(double, b())
    double.bridges[BRIDGE] = [A, b()]
    await reconcile()

    assert [call for call, _ in collector.events] == [
        CALL,
        *(f"demo:{number}.1" for number in range(5)),
    ]


async def test_a_caller_whom_the_dialplan_had_answered_is_not_hung_up(double, reconcile, collector):
    put(double, A)
    await reconcile()

    ((_, event),) = collector.events
    assert (event.up, event.legs, event.bridge) == (True, (), False)
    assert sorted(double.channels) == [A]


async def test_who_is_announced_between_the_two_looks_is_not_found(
    double, reconcile, collector, mailboxes
):
    """Their StasisStart was on its way, and is posted by now."""
    put(double, A, "Ring")

    async def posted():
        await mailboxes.post([(CALL, entered())])

    collector.posted = posted
    await reconcile()

    assert collector.events == []


async def test_a_forgotten_call_is_found_with_its_digest(double, reconcile, collector, heard):
    put(double, A)
    put(double, b())
    double.channels[b()].variables["RINGMASTER_CALL"] = "what was left on B"
    double.bridges[BRIDGE] = [A, b()]
    double.bridge_names[BRIDGE] = "what was left on the bridge"
    heard.note(ChannelAnswered(b(), 77))
    await reconcile()

    ((_, event),) = collector.events
    assert (event.digest, event.answered_ms) == ("what was left on B", 77)
    assert (event.legs, event.bridge) == (((1, "Up"),), True)
    assert sorted(double.channels) == [A, b()]


async def test_one_whose_b_has_gone_is_found_with_what_the_bridge_says(
    double, reconcile, collector
):
    put(double, A)
    double.bridges[BRIDGE] = [A]
    double.bridge_names[BRIDGE] = "what was left on the bridge"
    await reconcile()

    ((_, event),) = collector.events
    assert event.digest == "what was left on the bridge"


@pytest.mark.parametrize("answers", [False, True], ids=["rings", "has entered"])
async def test_a_phone_of_which_nothing_is_remembered_is_found_with_its_order(
    double, ari, reconcile, collector, answers
):
    await called(double, ari, "ringmaster what was left on the phone")
    if answers:
        double.answer(PHONE)
    await reconcile()

    ((call, event),) = collector.events
    assert call == f"demo:{PHONE}"
    assert event.digest == "what was left on the phone"
    assert (event.present, event.phone) == (answers, "" if answers else "Down")


@pytest.mark.parametrize("left", ["another what was left", ""], ids=["another's", "nobody's"])
async def test_a_phone_that_rings_for_another_application_is_left_alone(
    double, ari, reconcile, collector, caplog, left
):
    await called(double, ari, left)
    await reconcile()

    assert collector.events == []
    assert PHONE in double.channels
    assert "of which nothing was remembered" not in caplog.text


async def test_when_calls_were_answered_is_forgotten_with_the_calls(
    double, a_call, reconcile, collector, heard
):
    for name in (b(), "7.7.b1"):
        heard.note(ChannelAnswered(name, 77))
    await reconcile()

    assert (heard.answered_ms(A), heard.answered_ms("7.7")) == (77, None)


async def test_a_finished_call_is_not_begun_again(double, reconcile, collector, clean_redis):
    put(double, A)
    clean_redis.hset(f"ringmaster:call:{CALL}", "over", 1)
    await reconcile()

    assert collector.events == []
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

    assert collector.events == []
    assert not [each for each in double.requests if each.startswith("DELETE")]
    assert "could not be compared, nothing is changed" in caplog.text


async def test_a_mailbox_that_cannot_be_read_hides_no_other_call(
    a_call, reconcile, collector, clean_redis
):
    clean_redis.rpush("ringmaster:mail:demo:7.7", b'["unheard of"]')
    clean_redis.zadd(ATTEND, {"demo:7.7": 2**52})
    await reconcile()

    assert [call for call, _ in collector.events] == [CALL]


async def test_another_nodes_calls_are_not_doubted(double, reconcile, collector, clean_redis):
    session = replace(talking_world().session, call_id="other:1.2")
    clean_redis.hset("ringmaster:call:other:1.2", "session", to_json(session))
    clean_redis.zadd(ATTEND, {"other:1.2": 2**52})
    await reconcile()

    assert collector.events == []
