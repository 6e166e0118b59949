"""The gateway itself on the double and on a real Asterisk: the same commands, the same outcomes."""

import pytest

from ari_bridge.gateway import AriGateway
from calls.commands import (
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
from calls.events import CommandDone, CommandFailed, Listed
from tests.ari.conftest import APP

LOCAL = "Local/123@monkeys"
NOW_MS = 5


@pytest.fixture
async def do(ari):
    gateway = AriGateway({"node": ari.node}, APP, lambda: NOW_MS)

    async def do(command, again=False):
        return await gateway.carry_out("node", command, again)

    async with ari.listen():
        yield do
    await gateway.close()


@pytest.fixture
async def ready(ari, do):
    """A and B in their bridge; B is not dialled yet. All of it was asked for twice."""
    for channel in (ari.a, ari.b):
        for _ in range(2):
            create = CreateChannel(channel, ari.a, LOCAL, 60, "4420")
            assert await do(create) == CommandDone(NOW_MS, create)
    for _ in range(2):
        assert await do(CreateBridge(ari.bridge)) == CommandDone(NOW_MS, CreateBridge(ari.bridge))
    add = AddToBridge(ari.bridge, (ari.a, ari.b))
    assert await do(add) == CommandDone(NOW_MS, add)
    return ari


async def test_a_call_is_set_up_dialled_and_taken_down(ready, do):
    a, b, bridge = ready.a, ready.b, ready.bridge
    look = LookUp((a, b), bridge)
    assert await do(look) == Listed(NOW_MS, {a: "Down", b: "Down"}, bridge=True)
    for command in (Dial(b, 30), LimitChannel(b, 60), LimitChannel(a, 60)):
        assert await do(command) == CommandDone(NOW_MS, command)
    for command in (Hangup(b, 16), Hangup(a, 17), DestroyBridge(bridge)):
        assert await do(command) == CommandDone(NOW_MS, command)
    for path in (f"/channels/{a}", f"/channels/{b}", f"/bridges/{bridge}"):
        await ready.until_gone(path)

    assert await do(look) == Listed(NOW_MS, {}, bridge=False)


async def test_everything_that_ends_may_be_ended_again(ready, do):
    ends = (Hangup(ready.b, 16), Hangup(ready.a, 17), DestroyBridge(ready.bridge))
    for command in ends:
        await do(command)
    for channel in (ready.a, ready.b):
        await ready.until_gone(f"/channels/{channel}")

    for command in (*ends, LimitChannel(ready.a, 5), Answer(ready.b)):
        assert await do(command) == CommandDone(NOW_MS, command, gone=True)


async def test_a_dial_that_may_have_been_done_is_not_done_again(ready, do):
    outcome = await do(Dial(ready.b, 30), again=True)
    assert isinstance(outcome, CommandFailed)
    assert (await ready.ask("GET", f"/channels/{ready.b}"))[1]["state"] == "Down"


async def test_an_endpoint_that_does_not_exist_is_told_after_a_409_as_well(ready, do):
    bad = CreateChannel(f"{ready.b}x", ready.a, "PJSIP/1@nowhere", 60, "")
    outcome = await do(bad)

    assert isinstance(outcome, CommandFailed)
    assert not outcome.unknown
    assert "could not make a channel of PJSIP/1@nowhere" in outcome.reason


async def test_legs_that_are_gone_cannot_be_joined_or_dialled(ari, do):
    await do(CreateBridge(ari.bridge))
    add = await do(AddToBridge(ari.bridge, (ari.a, ari.b)))
    dial = await do(Dial(ari.b, 30))

    assert "400 Channel not found" in add.reason
    assert "404 Channel not found" in dial.reason
    assert not add.unknown
    assert not dial.unknown
