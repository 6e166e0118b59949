"""The listener: its connection, what goes wrong with it, and what it makes of what it hears."""

import asyncio
import contextlib
import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
import redis
from aiohttp import web

from ari_bridge import listener as listener_module
from ari_bridge import quiet
from ari_bridge.decoding import EVENT_TYPES
from ari_bridge.listener import Listener
from calls.machine.events import CallEntered, ChannelAnswered, HangupRequested
from tests.ari_bridge.conftest import LeaseStub, MarkStub
from tests.lab.ports import LOOPBACK, free_port

APP = "ringmaster"
FILTER = f"PUT /applications/{APP}/eventFilter"


class ReconcilerStub:
    """Counts the comparisons that it is asked for, and has a fault if told so."""

    def __init__(self):
        self.runs = 0
        self.fault = None
        self.compared = asyncio.Event()

    async def run(self, node, ari, heard):
        self.runs += 1
        self.compared.set()
        if self.fault:
            raise self.fault


@pytest.fixture
def reconciler():
    return ReconcilerStub()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(listener_module, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(listener_module, "LOOK_S", 0.001)
    # The clock of the log stands still: whatever happens, happens within one second.
    monkeypatch.setattr(quiet, "time", SimpleNamespace(monotonic=lambda: 1000.0))


def listener_of(node, poster, reconciler, lease=None, mark=None):
    return Listener(node, APP, poster, reconciler, lease or LeaseStub(), mark or MarkStub())


@contextlib.asynccontextmanager
async def listening(node, poster, reconciler, lease=None, mark=None):
    """A listener at work. Fails the test when it ends with an error by itself."""
    task = asyncio.create_task(listener_of(node, poster, reconciler, lease, mark).run())
    try:
        yield task
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def heard(double, poster, reconciler):
    """A listener of the double that is connected and has set its filter."""
    async with listening(double.node, poster, reconciler) as task:
        await double.wait_for(lambda: FILTER in double.requests)
        yield task


def errors(caplog):
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


# --- What is heard ---


async def test_what_happens_goes_into_the_mailbox_of_its_call(double, poster, heard):
    double.enter("1.2")
    await poster.wait_for(1)
    double.channels["1.2"].id = "1.2.b1"
    double.answer("1.2")
    await poster.wait_for(2)

    (first, entered), (second, answered) = poster.posted
    assert first == second == "double:1.2"
    assert isinstance(entered, CallEntered)
    assert isinstance(answered, ChannelAnswered)
    assert (entered.channel_id, answered.channel_id) == ("1.2", "1.2.b1")


async def test_events_keep_their_order(double, poster, heard):
    for number in range(200):
        double.enter(f"{number}.1")
    posted = await poster.wait_for(200)

    assert [call for call, _ in posted] == [f"double:{number}.1" for number in range(200)]


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "{}",
        '{"type": "StasisEnd"}',
        '{"type": "StasisEnd", "channel": "x", "timestamp": 5}',
        '{"type": "ChannelUserevent", "userevent": "x"}',
        '{"type": "StasisStart", "channel": {"id": "1.2", "caller": "x"}}',
        "[" * 100_000,
        '{"type": "StasisStart", "channel": {"id": "1.2", "state": "Ring", "dialplan": '
        '{"exten": "1"}, "name": ' + "[" * 990 + "]" * 990 + "}, "
        '"timestamp": "2026-11-25T00:00:00.000+0000"}',
    ],
)
async def test_a_malformed_event_is_said_and_left_out(double, poster, heard, caplog, text):
    await double.send_raw(APP, text)
    double.enter("1.2")
    double.end("1.2")
    await poster.wait_for(2)

    assert isinstance(poster.posted[1][1], HangupRequested)
    assert "sent an event that is not as ARI describes it" in errors(caplog)[0]
    assert double.connections == 1


# --- The connection ---


async def test_the_filter_is_set_after_each_connect(double, heard):
    assert double.apps[APP].allowed == list(EVENT_TYPES)
    for connections in (2, 3):
        await double.drop_sockets()
        await double.wait_for(lambda n=connections: double.requests.count(FILTER) == n)

    assert double.apps[APP].allowed == list(EVENT_TYPES)


async def test_a_lost_connection_is_said_and_made_again(double, poster, heard, caplog):
    await double.drop_sockets()
    await double.wait_for(lambda: double.requests.count(FILTER) == 2)
    double.enter("1.2")
    await poster.wait_for(1)

    assert errors(caplog) == [
        "Node double closed the connection (1001); its calls go on meanwhile."
    ]


async def test_every_connection_begins_with_a_comparison(double, reconciler, heard):
    def echoes():
        return len([each for each in double.requests if "/events/user/" in each])

    await double.wait_for(lambda: echoes() == 1)
    await double.drop_sockets()
    # The first echo is asked for beside the comparison.
    await double.wait_for(lambda: echoes() == 2)

    assert reconciler.runs == 2


async def test_a_fault_in_a_comparison_ends_neither_it_nor_the_listening(
    double, poster, reconciler, caplog, monkeypatch
):
    monkeypatch.setattr(listener_module, "RECONCILE_S", 0)
    monkeypatch.setattr(listener_module, "SOON_S", 0)
    reconciler.fault = TypeError("a bug")
    async with listening(double.node, poster, reconciler):
        await double.wait_for(lambda: FILTER in double.requests)
        double.enter("1.2")
        await poster.wait_for(1)
        double.enter("1.3")
        await poster.wait_for(2)

    assert reconciler.runs > 1
    assert "Node double could not be compared." in caplog.text


async def test_it_ends_when_told_even_where_a_library_loses_the_telling(double, poster):
    """As redis-py does on Python 3.11: the first cancellation is swallowed."""

    class Deaf:
        began = asyncio.Event()

        async def run(self, node, ari, heard):
            self.began.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    reconciler = Deaf()
    task = asyncio.create_task(listener_of(double.node, poster, reconciler).run())
    await reconciler.began.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=10)

    assert done
    assert task.cancelled()


async def test_a_fault_that_nobody_foresaw_is_said_and_the_node_is_listened_to_again(
    double, poster, reconciler, heard, caplog, monkeypatch
):
    add, faults = poster.add, [TypeError("a bug")]

    def faulty(call, event):
        if faults:
            raise faults.pop()
        add(call, event)

    monkeypatch.setattr(poster, "add", faulty)
    double.enter("1.2")
    await double.wait_for(lambda: double.requests.count(FILTER) == 2)
    double.enter("1.3")
    await poster.wait_for(1)

    assert "Listening to node double failed; connecting again." in caplog.text


async def test_a_message_of_more_than_a_megabyte_is_not_taken_into_memory(double, poster, heard):
    await double.send_raw(APP, '{"type": "' + "x" * 2**20 + '"}')
    await double.wait_for(lambda: double.requests.count(FILTER) == 2)
    double.enter("1.2")
    await poster.wait_for(1)


async def test_a_node_that_takes_a_connection_and_closes_it_at_once_is_left_in_peace_for_a_while(
    double, poster, reconciler, monkeypatch
):
    monkeypatch.setattr(listener_module, "FIRST_WAIT_S", 3600)
    monkeypatch.setattr(listener_module, "LONGEST_WAIT_S", 3600)
    lease = LeaseStub()
    async with listening(double.node, poster, reconciler, lease):
        await double.wait_for(lambda: FILTER in double.requests)
        await double.drop_sockets()
        # Whoever stands by may try meanwhile.
        await asyncio.wait_for(lease.was_offered.wait(), 10)

        assert double.connections == 1


async def test_a_redis_that_has_lost_data_is_followed_by_a_comparison_at_once(
    double, poster, reconciler, monkeypatch
):
    monkeypatch.setattr(listener_module, "RENEW_S", 0.001)
    mark = MarkStub()
    compared = asyncio.Event()
    async with listening(double.node, poster, reconciler, mark=mark):
        await double.wait_for(lambda: double.connections == 1)
        reconciler.compared = compared
        mark.forgot = True
        await asyncio.wait_for(compared.wait(), 10)

    assert double.connections == 1


async def test_a_lease_that_could_not_be_renewed_hides_no_loss_of_data(
    double, poster, reconciler, monkeypatch
):
    monkeypatch.setattr(listener_module, "RENEW_S", 0.001)
    mark = MarkStub()
    compared = asyncio.Event()

    class Fails(LeaseStub):
        failed = False

        async def renew_and_read(self, *key: str) -> tuple[bool, bytes | None]:
            if mark.forgot and not self.failed:
                self.failed = True
                await asyncio.sleep(0)
                raise redis.ConnectionError("Connection refused")
            return True, None

    lease = Fails()
    async with listening(double.node, poster, reconciler, lease, mark=mark):
        await double.wait_for(lambda: double.connections == 1)
        reconciler.compared = compared
        mark.forgot = True
        await asyncio.wait_for(compared.wait(), 10)

    assert lease.failed


async def test_a_connection_on_which_nothing_comes_any_more_is_given_up(
    double, poster, reconciler, caplog, monkeypatch
):
    monkeypatch.setattr(listener_module, "ECHO_S", 0.05)
    async with listening(double.node, poster, reconciler):
        await double.wait_for(lambda: FILTER in double.requests)
        double.deaf = True
        await double.wait_for(lambda: double.connections == 2)
        double.deaf = False
        await double.wait_for(lambda: double.requests.count(FILTER) >= 2)
        double.enter("1.2")
        await poster.wait_for(1)

    assert "sends no events any more though the connection stands" in caplog.text


@pytest.mark.parametrize("fault", [500, 404, "dropped"])
async def test_an_echo_that_could_not_be_asked_for_proves_nothing(
    double, poster, reconciler, monkeypatch, fault
):
    monkeypatch.setattr(listener_module, "ECHO_S", 0.01)
    monkeypatch.setattr(listener_module, "ECHO_AGAIN_S", 0.01)
    double.fail("POST", "/events/user/.*", fault, times=1000)
    async with listening(double.node, poster, reconciler):
        await double.wait_for(lambda: len([r for r in double.requests if "/user/" in r]) > 4)

    assert double.connections == 1


async def test_a_connection_whose_echo_comes_back_is_kept(double, poster, reconciler, monkeypatch):
    monkeypatch.setattr(listener_module, "ECHO_S", 0.05)
    async with listening(double.node, poster, reconciler):
        await double.wait_for(lambda: len([r for r in double.requests if "/user/" in r]) > 4)

    assert double.connections == 1


# --- What is wrong with a node is said once a second at most ---


async def test_a_wrong_password(double, poster, reconciler, caplog):
    node = replace(double.node, password="hunter2")
    async with listening(node, poster, reconciler):
        await double.wait_for(lambda: double.refused >= 4)

    assert errors(caplog) == [
        "Node double refuses the user 'ringmaster' or its password (401): check ARI_NODES "
        "against ari.conf on that node."
    ]
    assert "hunter2" not in caplog.text


async def test_a_wrong_host(double, poster, reconciler, caplog, monkeypatch):
    tries = Tries(monkeypatch)
    port = free_port()
    async with listening(replace(double.node, url=f"http://{LOOPBACK}:{port}"), poster, reconciler):
        await tries.wait_for(4)

    (sentence,) = errors(caplog)
    assert f"Node double cannot be reached at http://{LOOPBACK}:{port}" in sentence
    assert "check that Asterisk runs there with http.conf enabled" in sentence


class Tries:
    """Counts the listener's attempts to connect."""

    def __init__(self, monkeypatch):
        self.count = 0
        self._more = asyncio.Condition()
        real = listener_module.connect

        async def connect(http, ari, app):
            async with self._more:
                self.count += 1
                self._more.notify_all()
            return await real(http, ari, app)

        monkeypatch.setattr(listener_module, "connect", connect)

    async def wait_for(self, count):
        async with asyncio.timeout(10), self._more:
            await self._more.wait_for(lambda: self.count >= count)


@contextlib.asynccontextmanager
async def other_server(status):
    """An HTTP server that is no ARI."""

    async def answer(request):
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "but has no ARI there (404): check that ari.conf says enabled = yes"),
        (503, "Node double refuses the WebSocket with HTTP status 503."),
        (200, "refuses the WebSocket with HTTP status 200."),
    ],
)
async def test_a_server_that_is_no_ari(
    double, poster, reconciler, caplog, monkeypatch, status, sentence
):
    tries = Tries(monkeypatch)
    async with (
        other_server(status) as url,
        listening(replace(double.node, url=url), poster, reconciler),
    ):
        await tries.wait_for(4)

    assert len(errors(caplog)) == 1
    assert sentence in errors(caplog)[0]


async def test_an_asterisk_too_old_for_a_filter(double, poster, reconciler, caplog):
    double.fail("PUT", f"/applications/{APP}/eventFilter", 404, times=1000)
    async with listening(double.node, poster, reconciler):
        await double.wait_for(lambda: double.requests.count(FILTER) >= 3)

    assert errors(caplog) == [
        "Node double takes no event filter (404 a fault on demand): Asterisk 22 or newer is needed."
    ]


async def test_a_node_that_comes_back_is_listened_to_again(double, poster, reconciler):
    double.fail("GET", "/events", 503, times=3)
    async with listening(double.node, poster, reconciler):
        await double.wait_for(lambda: FILTER in double.requests)
        double.enter("1.2")
        await poster.wait_for(1)


def test_a_log_says_one_thing_a_second_and_how_much_it_kept_back(monkeypatch, caplog):
    now = 1000.0
    monkeypatch.setattr(quiet, "time", SimpleNamespace(monotonic=lambda: now))
    say = quiet.OncePerSecond(logging.getLogger("calls"))
    for number in range(4):
        say.error("fault %d", number)
    now = 1001.0
    say.error("fault %d", 4)

    assert errors(caplog) == ["fault 0", "fault 4 (3 more like it in between)"]
