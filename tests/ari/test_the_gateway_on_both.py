"""The gateway itself on the double and on a real Asterisk: the same commands, the same outcomes."""

import pytest

from ari_bridge.client import AriClient
from ari_bridge.gateway import AriGateway
from ari_bridge.listing import listed
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
    Originate,
    Play,
)
from calls.machine.digest import VARIABLE
from calls.machine.events import CommandDone, CommandFailed, Listed
from calls.machine.talk import SOUND
from tests.ari.conftest import APP

LOCAL = "Local/123@monkeys"
NOW_MS = 5


@pytest.fixture(params=["http", "websocket"])
async def do(ari, request):
    gateway = AriGateway({"node": ari.node}, APP, lambda: NOW_MS, request.param)

    async def do(command, again=False):
        return await gateway.carry_out("node", command, again)

    async with ari.listen():
        yield do
    await gateway.close()


@pytest.fixture
async def ready(ari, do):
    """A and B in their bridge; B is not dialled yet. All of it was asked for twice."""
    for channel in (ari.a, ari.b):
        for existed in (False, True):
            create = CreateChannel(channel, ari.a, LOCAL, 60, "4420")
            assert await do(create) == CommandDone(NOW_MS, create, existed=existed)
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


async def test_a_phone_is_called_once_however_often_it_is_asked_for(ari, do):
    call = Originate(ari.a, LOCAL, 30, 90, "33123")
    assert await do(call) == CommandDone(NOW_MS, call)
    assert await do(call) == CommandDone(NOW_MS, call, existed=True)
    assert await do(call, again=True) == CommandDone(NOW_MS, call, existed=True)


async def test_what_a_phone_is_called_for_stands_on_its_channel(ari, do):
    """Whatever is in it, and beside the name of the application that it is to be handed over to."""
    digest = '[2,"a, b",["x=y;z"],"${EPOCH}"]'
    await do(Originate(ari.a, LOCAL, 30, 90, "33123", digest))
    path = f"/channels/{ari.a}/variable"

    assert (await ari.ask("GET", path, variable="RINGMASTER_ORDER"))[1] == {
        "value": f"{APP} {digest}"
    }


async def test_a_phone_that_may_have_been_called_is_not_called_again(ari, do):
    outcome = await do(Originate(ari.a, LOCAL, 30, 90), again=True)

    assert isinstance(outcome, CommandFailed)
    assert outcome.unknown
    assert await ari.status("GET", f"/channels/{ari.a}") == 404


async def test_a_phone_that_does_not_exist_is_a_failure_that_is_known(ari, do):
    outcome = await do(Originate(ari.a, "PJSIP/nobody-of-this-name", 30, 90))

    assert isinstance(outcome, CommandFailed)
    assert not outcome.unknown
    assert "could not make a channel of PJSIP/nobody-of-this-name" in outcome.reason


async def test_a_silent_channel_takes_the_callers_place_and_a_sound_is_played(ari, do):
    silent = Originate(ari.a, "", 30, 90)
    assert await do(silent) == CommandDone(NOW_MS, silent)
    assert await do(silent, again=True) == CommandDone(NOW_MS, silent, existed=True)
    await do(CreateBridge(ari.bridge))
    play = Play(ari.bridge, SOUND)
    assert await do(play) == CommandDone(NOW_MS, play)
    assert await do(Hangup(ari.a, 16)) == CommandDone(NOW_MS, Hangup(ari.a, 16))
    await ari.until_gone(f"/channels/{ari.a}")


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


async def test_what_a_call_is_rebuilt_from_is_left_on_b_and_on_the_bridge(ari, do):
    await do(CreateChannel(ari.b, ari.a, LOCAL, 60, "4420", '["digest"]'))
    await do(CreateBridge(ari.bridge, '["digest"]'))

    path = f"/channels/{ari.b}/variable"
    assert await ari.ask("GET", path, variable=VARIABLE) == (200, {"value": '["digest"]'})
    _, bridge = await ari.ask("GET", f"/bridges/{ari.bridge}")
    assert bridge["name"] == '["digest"]'


async def test_a_listing_is_read_in_parts(ari, do):
    client = AriClient(ari.node)
    await do(CreateChannel(ari.b, ari.a, LOCAL, 60, "4420", ""))
    found = [each["id"] async for part in listed(client, "/channels") for each in part]
    await client.close()

    assert ari.b in found
