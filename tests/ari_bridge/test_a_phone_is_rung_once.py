"""An ordered call's phone is created and then dialled: once, whatever breaks in between."""

import asyncio
from dataclasses import replace

import pytest

from ari_bridge import client as client_module
from ari_bridge import gateway as gateway_module
from ari_bridge.client import AriClient
from ari_bridge.gateway import AriGateway
from calls import ids
from calls.clock import steady_s
from calls.machine.commands import Originate
from calls.machine.events import CommandDone, CommandFailed

A = ids.ordered_channel("token:1", "key", "20261129")
CALL = Originate(A, "PJSIP/alice", 30, 150, "33123", "what it is for")
CREATE, MARK, DIAL = (
    "POST /channels/create",
    f"POST /channels/{A}/variable",
    f"POST /channels/{A}/dial",
)
NOW_MS = 77


def listen(double):
    """As if a listener were connected, whom nobody asks what it hears."""
    double.apps["ringmaster"] = None


@pytest.fixture(autouse=True)
def _listened_to(double):
    double._tell_app = lambda *args, **facts: None
    listen(double)


@pytest.fixture(params=["http", "websocket"])
async def hire(double, request):
    """A new worker's gateway."""
    made = []

    def hire():
        made.append(AriGateway({"demo": double.node}, "ringmaster", lambda: NOW_MS, request.param))
        return made[-1]

    yield hire
    for each in made:
        await each.close()


@pytest.fixture
def do(hire):
    worker = hire()

    async def do(again=False, command=CALL):
        return await worker.carry_out("demo", command, again)

    return do


def sent(double, what):
    return double.requests.count(what)


async def test_what_a_phone_is_rung_with(double, do):
    assert await do() == CommandDone(NOW_MS, CALL)

    phone = double.channels[A]
    assert phone.variables == {
        "TIMEOUT(absolute)": "150",
        "CALLERID(num)": "33123",
        "CONNECTEDLINE(num,i)": "33123",
        "RINGMASTER_ORDER": "ringmaster what it is for",
        "RINGMASTER_RUNG": "1",
    }
    assert phone.dials == 1


async def test_asterisk_is_never_asked_to_call_it_by_itself(double, do):
    """It would call whomever the phone names in a 302."""
    await do()

    assert f"POST /channels/{A}" not in double.requests


async def test_it_is_dialled_once_it_has_entered(double, do):
    double.holds_entry = True
    calling = asyncio.create_task(do())
    await double.wait_for(lambda: sent(double, MARK) > 1)
    assert sent(double, DIAL) == 0
    double.let_enter()

    assert await calling == CommandDone(NOW_MS, CALL)
    assert double.channels[A].dials == 1


async def test_one_that_never_enters_is_given_up_undialled(double, do, monkeypatch):
    monkeypatch.setattr(gateway_module, "ENTER_S", 0.1)
    double.holds_entry = True
    outcome = await do()

    assert isinstance(outcome, CommandFailed)
    assert not outcome.unknown
    assert "409 Channel not in Stasis application" in outcome.reason
    assert sent(double, DIAL) == 0


async def test_while_nobody_listens_it_is_created_again_until_somebody_does(
    double, do, monkeypatch
):
    monkeypatch.setattr(gateway_module, "LISTENER_S", 60)
    del double.apps["ringmaster"]
    calling = asyncio.create_task(do())
    await double.wait_for(lambda: sent(double, CREATE) > 2)
    listen(double)

    assert await calling == CommandDone(NOW_MS, CALL)
    assert double.channels[A].dials == 1


async def test_where_nobody_comes_to_listen_the_failure_is_known_and_nothing_is_left(
    double, do, monkeypatch
):
    monkeypatch.setattr(gateway_module, "LISTENER_S", 0.3)
    del double.apps["ringmaster"]
    outcome = await do()

    assert isinstance(outcome, CommandFailed)
    assert not outcome.unknown
    reason = "no ARI bridge is connected to node double, so PJSIP/alice was not called"
    assert outcome.reason == reason
    assert sent(double, DIAL) == 0
    assert double.channels == {}


@pytest.mark.parametrize("fault", ["lost reply", "dropped"])
async def test_after_a_dial_without_a_reply_nobody_knows_and_it_is_not_sent_again(
    double, do, fault
):
    double.fail("POST", f"/channels/{A}/dial", fault)
    outcome = await do()

    assert isinstance(outcome, CommandFailed)
    assert outcome.unknown
    assert sent(double, DIAL) == 1


@pytest.mark.parametrize("path", ["/channels/create", f"/channels/{A}/variable"])
@pytest.mark.parametrize("fault", ["lost reply", "dropped"])
async def test_what_goes_before_the_dial_may_be_lost_and_is_sent_again(double, do, path, fault):
    double.fail("POST", path, fault)

    assert await do() == CommandDone(NOW_MS, CALL)
    assert double.channels[A].dials == 1


@pytest.mark.parametrize("path", ["/channels/create", f"/channels/{A}/variable"])
async def test_where_no_reply_comes_before_the_dial_it_is_known_that_nothing_rang(double, do, path):
    """Else its call waits for an answer until the ringing would be over."""
    double.fail("POST", path, "lost reply", times=1000)
    outcome = await do()

    assert isinstance(outcome, CommandFailed)
    assert not outcome.unknown
    assert outcome.of_node
    assert sent(double, DIAL) == 0


async def test_one_that_was_there_before_is_not_dialled(double, do):
    """Redis forgot it, and it was ordered again under its key."""
    await do()

    assert await do() == CommandDone(NOW_MS, CALL, existed=True)
    assert double.channels[A].dials == 1


@pytest.mark.parametrize("state", ["Down", "Ringing", "Up"])
async def test_one_that_an_earlier_worker_may_have_dialled_is_not_dialled_again(double, do, state):
    await do()
    double.channels[A].state = state

    assert await do(again=True) == CommandDone(NOW_MS, CALL, existed=True)
    assert double.channels[A].dials == 1


async def test_one_that_is_gone_may_have_declined_and_is_not_rung_again(double, do):
    outcome = await do(again=True)

    assert isinstance(outcome, CommandFailed)
    assert outcome.unknown
    assert "whether it rang is not known" in outcome.reason
    assert sent(double, CREATE) == 0


async def test_one_that_the_version_before_called_is_not_dialled(double, do):
    """It is in nobody's application until it is answered."""
    double.holds_entry = True
    await do()
    double.requests.clear()

    assert await do(again=True) == CommandDone(NOW_MS, CALL, existed=True)
    assert sent(double, MARK) == sent(double, DIAL) == 0


@pytest.mark.parametrize("fault", [500, 503])
async def test_where_it_cannot_be_asked_for_its_mark_it_is_not_dialled(double, do, fault):
    await do()
    double.fail("GET", f"/channels/{A}/variable", fault)
    double.channels[A].variables.pop("RINGMASTER_RUNG")

    assert await do(again=True) == CommandDone(NOW_MS, CALL, existed=True)
    assert double.channels[A].dials == 1


async def test_a_silent_channel_is_created_alone(double, do):
    silent = replace(CALL, endpoint="")
    assert await do(command=silent) == CommandDone(NOW_MS, silent)
    assert await do(command=silent) == CommandDone(NOW_MS, silent, existed=True)

    assert sent(double, MARK) == sent(double, DIAL) == 0
    assert "CALLERID(num)" not in double.channels[A].variables


# --- A worker that is killed, or stops for a while, at each of its requests ---


class Killed(BaseException):
    """kill -9."""


@pytest.fixture
def at_each(monkeypatch):
    """Lets something happen before the first such request, or after the first that is done."""
    request = AriClient.request

    def at_each(path, before, happens):
        happened = False

        async def watched(self, method, asked, *args, **options):
            nonlocal happened
            is_it = (method, asked) == ("POST", path) and not happened
            if is_it and before:
                happened = True
                await happens()
            answer = await request(self, method, asked, *args, **options)
            if is_it and not before and answer.ok:
                happened = True
                await happens()
            return answer

        monkeypatch.setattr(AriClient, "request", watched)

    return at_each


STEPS = [
    pytest.param(path, before, dials, id=f"{'before' if before else 'after'} {path.split('/')[-1]}")
    for path, before, dials in [
        ("/channels/create", True, 0),
        ("/channels/create", False, 1),
        (f"/channels/{A}/variable", True, 1),
        (f"/channels/{A}/variable", False, 0),
        (f"/channels/{A}/dial", True, 0),
        (f"/channels/{A}/dial", False, 1),
    ]
]
"""How often the phone is dialled by both workers. None is dialled twice, and none by the next one
where nobody knows whether it was."""


@pytest.fixture
def by_http(double):
    return AriGateway({"demo": double.node}, "ringmaster", lambda: NOW_MS, "http")


@pytest.mark.parametrize(("path", "before", "dials"), STEPS)
async def test_a_worker_is_killed_at_each_step(double, by_http, at_each, path, before, dials):
    async def die():
        raise Killed

    at_each(path, before, die)
    with pytest.raises(Killed):
        await by_http.carry_out("demo", CALL, False)
    await by_http.close()
    await _entered(double)
    other = AriGateway({"demo": double.node}, "ringmaster", lambda: NOW_MS, "http")
    outcome = await other.carry_out("demo", CALL, True)
    await other.close()

    assert sent(double, DIAL) == dials
    there = A in double.channels
    assert there is not (path == "/channels/create" and before)
    # What is not there may have declined; what is there rings on, or is waited for.
    assert isinstance(outcome, CommandDone if there else CommandFailed)


@pytest.mark.parametrize(("path", "before", "dials"), STEPS)
async def test_a_worker_stops_at_each_step_while_another_goes_on(
    double, by_http, at_each, monkeypatch, path, before, dials
):
    stopped, goes_on = asyncio.Event(), asyncio.Event()

    async def stop():
        stopped.set()
        await goes_on.wait()

    at_each(path, before, stop)
    first = asyncio.create_task(by_http.carry_out("demo", CALL, False, steady_s() + 10))
    await stopped.wait()
    # Its time is up when it goes on.
    monkeypatch.setattr(client_module, "steady_s", lambda: steady_s() + 11)
    await _entered(double)
    other = AriGateway({"demo": double.node}, "ringmaster", lambda: NOW_MS, "http")
    await other.carry_out("demo", CALL, True)
    await other.close()
    goes_on.set()
    await first
    await by_http.close()

    assert sent(double, DIAL) == dials
    assert all(phone.dials <= 1 for phone in double.channels.values())


async def _entered(double):
    """What was created has entered meanwhile: another worker comes seconds later."""
    if A in double.channels:
        double.let_enter()
