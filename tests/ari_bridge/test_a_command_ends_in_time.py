"""A command has until a time: past it nothing is sent, whatever Asterisk or our process does."""

import asyncio
import time

import pytest

from ari_bridge.gateway import AriGateway
from calls.clock import steady_s
from calls.machine.commands import AddToBridge, CreateBridge, CreateChannel, Dial, Hangup, LookUp
from calls.machine.events import CommandDone, CommandFailed

A, B, BRIDGE = "1.2", "1.2.b1", "1.2.br"
COMMANDS = [
    Hangup(B, 16),
    CreateChannel(B, A, "PJSIP/33@carrier-a", 60, "4420"),
    CreateBridge(BRIDGE),
    AddToBridge(BRIDGE, (A, B)),
    Dial(B, 30),
    LookUp((A, B), BRIDGE),
]


@pytest.fixture(params=["http", "websocket"])
async def gateway(double, request):
    found = AriGateway({"demo": double.node}, "ringmaster", rest=request.param)
    # So that its socket, where it has one, stands.
    await found.carry_out("demo", Hangup("nobody", 16), False)
    double.requests.clear()
    yield found
    await found.close()


def asked(double):
    ours = ("eventFilter", "/events")
    return [each for each in double.requests if not any(word in each for word in ours)]


def fail_all(double, how):
    for method in ("GET", "POST", "DELETE"):
        double.fail(method, "/(channels|bridges).*", how, times=99)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.tag)
async def test_an_asterisk_that_does_not_answer_is_asked_once_and_not_again(
    gateway, double, command
):
    fail_all(double, "stalled")
    outcome = await gateway.carry_out("demo", command, False, steady_s() + 0.2)

    assert isinstance(outcome, CommandFailed)
    assert outcome.unknown
    assert len(asked(double)) == len(set(asked(double))) > 0


async def test_whoever_waits_for_a_command_can_end_it(gateway, double):
    """Ending in the same moment, an inner time-out must not swallow the outer one."""
    fail_all(double, "stalled")
    for nth in range(20):
        until_s = steady_s() + 0.05
        try:
            async with asyncio.timeout(0.05):
                await gateway.carry_out("demo", Hangup(f"{nth}.b1", 16), False, until_s)
        except TimeoutError:
            pass

    sent = [each for each in asked(double) if each.startswith("DELETE")]
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.tag)
async def test_past_its_time_nothing_is_sent_and_that_is_known(gateway, double, command):
    outcome = await gateway.carry_out("demo", command, False, steady_s() - 0.001)

    assert isinstance(outcome, CommandFailed)
    assert not outcome.unknown
    assert "its time was up" in outcome.reason
    assert asked(double) == []


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.tag)
async def test_a_process_that_freezes_between_two_requests_sends_the_next_no_more(
    double, command, nth
):
    """It wakes up when its time is over, and the call may belong to another worker."""
    gateway = AriGateway({"demo": double.node}, "ringmaster", rest="http")
    frozen_at = []

    class Freezing(list):
        def append(self, request):
            super().append(request)
            if len(self) == nth:
                time.sleep(0.3)
                frozen_at.append(len(self))

    double.requests = Freezing()
    fail_all(double, "dropped")
    await gateway.carry_out("demo", command, False, steady_s() + 0.2)
    await gateway.close()

    # The requests of one look have gone out together.
    together = 3 if isinstance(command, LookUp) else 0
    if frozen_at:
        assert len(double.requests) <= max(frozen_at[0], together)
    else:
        assert nth == 2
        assert isinstance(command, Dial)


async def test_a_request_that_may_have_arrived_stays_so_when_its_repetition_cannot_be_sent(
    double,
):
    """Else an attempt would be held for not begun, and the channel that was made be forgotten."""
    command = CreateBridge(BRIDGE)
    gateway = AriGateway({"demo": double.node}, "ringmaster", rest="http")
    double.fail("POST", f"/bridges/{BRIDGE}", "lost reply")
    double.fail("POST", f"/bridges/{BRIDGE}", "dropped", times=99)

    sent = asyncio.create_task(gateway.carry_out("demo", command, False))
    await double.wait_for(lambda: len(double.requests) > 0)
    await double.down()
    outcome = await sent
    await gateway.close()

    assert isinstance(outcome, CommandFailed)
    assert outcome.unknown


async def test_a_command_that_is_in_time_is_done(gateway, double):
    outcome = await gateway.carry_out("demo", CreateBridge(BRIDGE), False, steady_s() + 2)

    assert isinstance(outcome, CommandDone)
