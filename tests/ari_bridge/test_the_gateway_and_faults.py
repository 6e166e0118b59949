"""The gateway when Asterisk does not answer as it should: what was done, what was not, what is
not known; and nothing is done twice that must not be."""

from dataclasses import replace

import pytest

from ari_bridge import client as client_module
from ari_bridge import gateway as gateway_module
from ari_bridge.gateway import AriGateway
from calls.machine.commands import (
    AddToBridge,
    Answer,
    CreateBridge,
    CreateChannel,
    DestroyBridge,
    Dial,
    Hangup,
    LimitChannel,
    LookUp,
)
from calls.machine.events import CommandDone, CommandFailed, Listed
from tests.lab.ports import free_port

A, B, BRIDGE = "1.2", "1.2.b1", "1.2.br"
SIP = "PJSIP/33@carrier-a"
CREATE = CreateChannel(B, A, SIP, 60, "4420")
DIAL = Dial(B, 30)
NOW_MS = 77


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(client_module, "AGAIN_S", 0.2)
    monkeypatch.setattr(gateway_module, "ENTER_S", 0.1)


@pytest.fixture(params=["http", "websocket"])
async def gateway(double, request):
    found = AriGateway({"demo": double.node}, "ringmaster", lambda: NOW_MS, request.param)
    yield found
    await found.close()


@pytest.fixture
async def do(gateway):
    async def do(command, again=False):
        return await gateway.carry_out("demo", command, again)

    return do


@pytest.fixture
async def ready(double, do):
    """A and B in their bridge, B not dialled yet."""
    double.holds_entry = True
    double.apps["ringmaster"] = None
    double._tell_app = lambda *args, **facts: None
    double.enter(A)
    await do(CREATE)
    await do(CreateBridge(BRIDGE))
    double.let_enter()
    return double


def sent(double, method):
    return [each for each in double.requests if each.startswith(method)]


# --- Create ---


async def test_what_a_channel_is_created_with(ready):
    channel = ready.channels[B]

    assert channel.variables == {
        "TIMEOUT(absolute)": "60",
        "PJSIP_HEADER(add,X-Ringmaster-Hops)": "1",
        "CONNECTEDLINE(num,i)": "4420",
    }
    assert channel.app == "ringmaster"


async def test_an_anonymous_caller_shows_no_number(ready, do):
    await do(replace(CREATE, channel_id="1.2.b2", caller_number=""))

    assert ready.channels["1.2.b2"].variables == {
        "TIMEOUT(absolute)": "60",
        "PJSIP_HEADER(add,X-Ringmaster-Hops)": "1",
        "CONNECTEDLINE(pres,i)": "prohib",
    }


@pytest.mark.parametrize(
    ("command", "path"),
    [(CREATE, "/channels/create"), (CreateBridge(BRIDGE), f"/bridges/{BRIDGE}")],
    ids=["channel", "bridge"],
)
async def test_a_create_whose_reply_was_lost_is_found_done(double, do, command, path):
    """It is sent again, Asterisk says 409, and a look shows that it is there."""
    double.apps["ringmaster"] = None
    double.holds_entry = True
    double.fail("POST", path, "lost reply")

    assert await do(command) == CommandDone(NOW_MS, command)
    assert sent(double, f"POST {path}") == [f"POST {path}"] * 2


@pytest.mark.parametrize("kept_error", [False, True], ids=["500", "409"])
async def test_an_endpoint_that_does_not_exist_is_told_from_an_id_that_does(ready, do, kept_error):
    if kept_error:
        assert await do(CREATE) == CommandDone(NOW_MS, CREATE, existed=True)
    bad = replace(CREATE, channel_id="1.2.b2", endpoint="PJSIP/33@nowhere")
    outcome = await do(bad)

    assert isinstance(outcome, CommandFailed)
    assert not outcome.unknown
    assert not outcome.of_node
    assert "could not make a channel of PJSIP/33@nowhere: no such endpoint" in outcome.reason


# --- Add ---


async def test_adding_waits_until_the_channel_has_entered(ready, do):
    ready.channels[B].in_stasis = False
    ready.fail("POST", f"/bridges/{BRIDGE}/addChannel", 422, times=3)
    ready.channels[B].in_stasis = True

    assert isinstance(await do(AddToBridge(BRIDGE, (A, B))), CommandDone)
    assert ready.bridges[BRIDGE] == [A, B]


async def test_a_channel_that_never_enters_is_given_up_with_asterisks_words(ready, do):
    ready.channels[B].in_stasis = False
    outcome = await do(AddToBridge(BRIDGE, (A, B)))

    assert isinstance(outcome, CommandFailed)
    assert outcome.reason == (
        "Asterisk refused to put the legs into the bridge: 422 Channel not in Stasis application"
    )


async def test_a_leg_that_is_gone_cannot_be_added(ready, do):
    del ready.channels[A]
    outcome = await do(AddToBridge(BRIDGE, (A, B)))

    assert "400 Channel not found" in outcome.reason
    assert len(sent(ready, f"POST /bridges/{BRIDGE}/addChannel")) == 1


# --- Dial ---


async def test_a_dial_is_sent_once(ready, do):
    assert await do(DIAL) == CommandDone(NOW_MS, DIAL)
    assert ready.channels[B].dials == 1


@pytest.mark.parametrize("fault", ["lost reply", "dropped"])
async def test_after_a_dial_without_a_reply_nobody_knows_and_it_is_not_sent_again(ready, do, fault):
    ready.fail("POST", f"/channels/{B}/dial", fault)
    outcome = await do(DIAL)

    assert isinstance(outcome, CommandFailed)
    assert outcome.unknown
    assert len(sent(ready, f"POST /channels/{B}/dial")) == 1


async def test_a_dial_that_never_left_was_certainly_not_done(gateway, double):
    await double.down()
    outcome = await gateway.carry_out("demo", DIAL, False)

    assert isinstance(outcome, CommandFailed)
    assert not outcome.unknown
    assert f"node double could not be reached at {double.node.url}" in outcome.reason


@pytest.mark.parametrize("state", ["Ringing", "Up", "Down"])
async def test_a_channel_that_was_there_before_it_was_created_is_looked_at_before_it_is_dialled(
    ready, do, state
):
    """Redis went back by a second: it knows nothing of the dial, and a second one would kill B."""
    await do(DIAL)
    ready.channels[B].state = state
    ready.requests.clear()

    assert await do(CREATE) == CommandDone(NOW_MS, CREATE, existed=True)
    dialled = isinstance(await do(replace(DIAL, look_first=True)), CommandDone)
    assert dialled is (state != "Down")
    assert sent(ready, f"POST /channels/{B}/dial") == []
    assert ready.channels[B].dials == 1


@pytest.mark.parametrize("state", ["Ringing", "Up"])
async def test_a_dial_that_may_have_been_done_looks_first(ready, do, state):
    ready.channels[B].state = state

    assert await do(DIAL, again=True) == CommandDone(NOW_MS, DIAL)
    assert sent(ready, f"POST /channels/{B}/dial") == []


@pytest.mark.parametrize("there", [True, False])
async def test_what_a_look_cannot_tell_is_not_dialled_again(ready, do, there):
    if not there:
        del ready.channels[B]
    outcome = await do(DIAL, again=True)

    assert isinstance(outcome, CommandFailed)
    assert "whether B was dialled is not known" in outcome.reason
    assert sent(ready, f"POST /channels/{B}/dial") == []


async def test_a_dial_of_a_channel_that_is_gone_fails(ready, do):
    del ready.channels[B]
    outcome = await do(DIAL)

    assert isinstance(outcome, CommandFailed)
    assert (outcome.unknown, outcome.reason) == (
        False,
        "Asterisk refused to dial: 404 Channel not found",
    )


# --- What may be repeated ---

REPEATABLE = [
    (Answer(A), "POST", f"/channels/{A}/answer"),
    (LimitChannel(B, 9), "POST", f"/channels/{B}/variable"),
    (Hangup(B, 17), "DELETE", f"/channels/{B}"),
    (DestroyBridge(BRIDGE), "DELETE", f"/bridges/{BRIDGE}"),
]


@pytest.mark.parametrize(("command", "method", "path"), REPEATABLE)
@pytest.mark.parametrize("fault", ["lost reply", "dropped"])
async def test_what_may_be_repeated_is_repeated(ready, do, command, method, path, fault):
    ready.fail(method, path, fault)
    outcome = await do(command)

    assert isinstance(outcome, CommandDone)
    assert len(sent(ready, f"{method} {path}")) == 2


@pytest.mark.parametrize(("command", "method", "path"), REPEATABLE)
async def test_what_is_gone_needs_it_no_more(ready, do, command, method, path):
    ready.channels.clear()
    ready.bridges.clear()

    assert await do(command) == CommandDone(NOW_MS, command, gone=True)


@pytest.mark.parametrize(("command", "method", "path"), REPEATABLE)
async def test_a_fault_of_asterisk_is_a_failure_whose_effect_is_not_known(
    ready, do, command, method, path
):
    ready.fail(method, path, 503)
    outcome = await do(command)

    assert isinstance(outcome, CommandFailed)
    assert outcome.unknown
    assert outcome.reason.endswith("503 a fault on demand")


async def test_a_hangup_carries_its_cause(ready, do, monkeypatch):
    causes = []
    monkeypatch.setattr(ready, "end", lambda channel, cause, **more: causes.append(cause))
    await do(Hangup(B, 17))

    assert causes == [17]


# --- Looking ---

LOOK = LookUp((A, B), BRIDGE)


async def test_a_look_tells_what_is_there(ready, do):
    assert await do(LOOK) == Listed(NOW_MS, {A: "Ring", B: "Down"}, bridge=True)
    del ready.channels[B]
    ready.bridges.clear()

    assert await do(LOOK) == Listed(NOW_MS, {A: "Ring"}, bridge=False)


@pytest.mark.parametrize("path", [f"/channels/{A}", f"/channels/{B}", f"/bridges/{BRIDGE}"])
@pytest.mark.parametrize("fault", [500, 503, "dropped"])
async def test_a_partial_look_is_no_look(ready, do, path, fault):
    """What could not be asked for must never seem gone."""
    ready.fail("GET", path, fault, times=1000)

    assert isinstance(await do(LOOK), CommandFailed)


# --- Nodes ---


async def test_a_node_that_this_worker_does_not_know_is_named(gateway):
    outcome = await gateway.carry_out("other", Hangup(B, 16), False)

    assert outcome.reason == "node other is not in ARI_NODES of this worker"
    assert outcome.of_node
    assert not gateway.knows("other")


async def test_a_node_that_is_down_is_a_failure_and_no_exception(double):
    node = replace(double.node, url=f"http://127.0.0.1:{free_port()}")
    gateway = AriGateway({"demo": node}, "ringmaster", lambda: NOW_MS)
    outcome = await gateway.carry_out("demo", Hangup(B, 16), False)
    await gateway.close()

    assert isinstance(outcome, CommandFailed)
    assert not outcome.unknown
    assert outcome.of_node


async def test_the_password_is_in_no_reason(double):
    node = replace(double.node, password="hunter2", url=f"http://127.0.0.1:{free_port()}")
    gateway = AriGateway({"demo": node}, "ringmaster", lambda: NOW_MS)
    outcome = await gateway.carry_out("demo", Hangup(B, 16), False)
    await gateway.close()

    assert "hunter2" not in outcome.reason + repr(node)


async def test_an_id_cannot_leave_its_place_in_the_path(double, do):
    await do(Hangup("../bridges/x?y=z#", 16))

    assert double.requests[-1] == "DELETE /channels/../bridges/x?y=z#"
