"""What the gateway and the listener rely on, held by the double and by a real Asterisk alike."""

import asyncio
import time

import aiohttp
import pytest

from ari_bridge.decoding import EVENT_TYPES, at_ms
from tests.ari.conftest import APP, Ari

FILTER = {"allowed": [{"type": kind} for kind in EVENT_TYPES]}
UNKNOWN = "nobody-here"


@pytest.fixture
async def ear(ari: Ari):
    async with ari.listen() as found:
        assert await ari.status("PUT", f"/applications/{APP}/eventFilter", FILTER) == 200
        yield found


async def entered(ari, ear, channel):
    assert (await ari.create(channel))[0] == 200
    await ear.until("StasisStart")


async def both_legs(ari, ear):
    await entered(ari, ear, ari.a)
    assert (await ari.create(ari.b, originator=ari.a))[0] == 200
    await ear.until("StasisStart")


async def test_a_ping_tells_the_time_to_the_millisecond(ari):
    before_ms = time.time_ns() // 1_000_000
    status, pong = await ari.ask("GET", "/asterisk/ping")

    assert (status, pong["ping"]) == (200, "pong")
    assert before_ms - 1 <= at_ms(pong) <= time.time_ns() // 1_000_000 + 1


# --- Channels ---


async def test_a_channel_is_created_under_the_id_we_chose(ari, ear):
    status, channel = await ari.create(ari.b)

    assert status == 200
    assert (channel["id"], channel["state"]) == (ari.b, "Down")
    status, channel = await ari.ask("GET", f"/channels/{ari.b}")
    assert (status, channel["id"]) == (200, ari.b)


async def test_an_id_that_exists_is_refused_with_409(ari, ear):
    await ari.create(ari.b)

    assert (await ari.create(ari.b))[0] == 409
    assert (await ari.create(ari.b))[0] == 409


@pytest.mark.parametrize("endpoint", ["PJSIP/1@nowhere", "Nosuch/1"])
async def test_an_endpoint_that_does_not_exist_gives_500_on_a_fresh_connection(ari, ear, endpoint):
    assert (await ari.create(ari.b, endpoint))[0] == 500
    assert await ari.status("GET", f"/channels/{ari.b}") == 404


async def test_and_409_on_a_connection_that_has_seen_one_so_only_a_look_tells(ari, ear):
    await ari.create(ari.a)
    assert (await ari.create(ari.a))[0] == 409

    assert (await ari.create(ari.b, "PJSIP/1@nowhere"))[0] == 409
    assert await ari.status("GET", f"/channels/{ari.b}") == 404


async def test_a_channel_created_for_nobody_vanishes(ari, ear):
    assert (await ari.create(ari.b, app=UNKNOWN))[0] == 200

    await ari.until_gone(f"/channels/{ari.b}")


async def test_a_channel_is_in_stasis_before_it_is_dialled_and_its_answer_is_told(ari, ear):
    """So what enters is a phone at which nobody is yet."""
    await ari.create(ari.a)
    start = await ear.until("StasisStart")
    assert start["channel"]["state"] == "Down"
    assert await ari.status("POST", f"/channels/{ari.a}/dial", timeout="30") == 204
    up = await ear.until("ChannelStateChange")

    assert up["channel"]["state"] == "Up"
    assert up["channel"]["name"] == start["channel"]["name"]
    assert up["channel"]["dialplan"]["app_data"] == APP
    assert {"protocol_id", "caller", "accountcode"} <= up["channel"].keys()


async def test_until_a_channel_is_in_stasis_it_takes_no_variable_and_then_it_does(ari, ear):
    await ari.create(ari.a)
    mark = {"variable": "RINGMASTER_RUNG", "value": "1"}
    answers = []
    async with asyncio.timeout(5):
        while 204 not in answers:
            answers.append(await ari.status("POST", f"/channels/{ari.a}/variable", **mark))

    assert set(answers) <= {409, 204}
    _, found = await ari.ask("GET", f"/channels/{ari.a}/variable", variable="RINGMASTER_RUNG")
    assert found == {"value": "1"}


async def test_a_channel_that_vanished_as_nobody_listens_is_404_to_whatever_follows(ari):
    """Until it has, what follows is refused with 409; and its id may be used again at once."""
    mark = {"variable": "RINGMASTER_RUNG", "value": "1"}
    for _ in range(2):
        assert (await ari.create(ari.a))[0] == 200
        answers = [409]
        async with asyncio.timeout(5):
            while answers[-1] == 409:
                answers.append(await ari.status("POST", f"/channels/{ari.a}/variable", **mark))
        assert answers[-1] == 404
        assert await ari.status("POST", f"/channels/{ari.a}/dial", timeout="5") == 404


async def test_a_sound_is_played_in_a_bridge_and_in_none_it_is_not(ari, ear):
    play = {"media": "sound:tt-monkeys,sound:tt-monkeys"}
    assert await ari.status("POST", f"/bridges/{ari.bridge}/play", **play) == 404
    await ari.status("POST", f"/bridges/{ari.bridge}", type="mixing")

    assert await ari.status("POST", f"/bridges/{ari.bridge}/play", **play) == 201


async def test_what_is_not_there_is_404(ari, ear):
    channel, bridge = f"/channels/{UNKNOWN}", f"/bridges/{UNKNOWN}"
    limit = {"variable": "TIMEOUT(absolute)", "value": "5"}
    answers = {
        "look": await ari.status("GET", channel),
        "dial": await ari.status("POST", f"{channel}/dial", timeout="5"),
        "answer": await ari.status("POST", f"{channel}/answer"),
        "limit": await ari.status("POST", f"{channel}/variable", **limit),
        "hang up": await ari.status("DELETE", channel, reason_code="17"),
        "look at the bridge": await ari.status("GET", bridge),
        "add": await ari.status("POST", f"{bridge}/addChannel", channel=UNKNOWN),
        "destroy": await ari.status("DELETE", bridge),
    }

    assert set(answers.values()) == {404}, answers


async def test_deleting_twice_shows_that_it_is_gone(ari, ear):
    await entered(ari, ear, ari.b)
    await ari.status("POST", f"/bridges/{ari.bridge}", type="mixing")

    assert await ari.status("DELETE", f"/channels/{ari.b}", reason_code="16") == 204
    await ear.until("ChannelDestroyed")
    assert await ari.status("DELETE", f"/channels/{ari.b}", reason_code="16") == 404
    assert await ari.status("DELETE", f"/bridges/{ari.bridge}") == 204
    # 409 "Bridge not in Stasis application" for the moment that it takes to go.
    assert await ari.status("DELETE", f"/bridges/{ari.bridge}") in (404, 409)
    await ari.until_gone(f"/bridges/{ari.bridge}")
    assert await ari.status("DELETE", f"/bridges/{ari.bridge}") == 404


async def test_a_dial_of_what_is_up_is_refused_and_does_no_harm(ari, ear):
    await entered(ari, ear, ari.b)
    await ari.status("POST", f"/channels/{ari.b}/dial", timeout="30")
    await ear.until("Dial", dialstatus="ANSWER")

    assert await ari.status("POST", f"/channels/{ari.b}/dial", timeout="30") == 409
    assert (await ari.ask("GET", f"/channels/{ari.b}"))[1]["state"] == "Up"


async def test_answering_what_is_up_is_harmless(ari, ear):
    await entered(ari, ear, ari.b)
    await ari.status("POST", f"/channels/{ari.b}/dial", timeout="30")
    await ear.until("Dial", dialstatus="ANSWER")

    assert await ari.status("POST", f"/channels/{ari.b}/answer") == 204


async def test_what_was_never_dialled_cannot_be_answered(ari, ear):
    await entered(ari, ear, ari.b)

    assert await ari.status("POST", f"/channels/{ari.b}/answer") == 412


async def test_the_second_half_of_a_local_channel_is_named_after_the_first_and_goes_with_it(
    ari, ear
):
    await entered(ari, ear, ari.b)
    await ari.status("POST", f"/channels/{ari.b}/dial", timeout="30")
    await ear.until("Dial", dialstatus="ANSWER")
    assert await ari.status("GET", f"/channels/{ari.b};2") == 200

    await ari.status("DELETE", f"/channels/{ari.b}")
    await ear.until("ChannelDestroyed")
    await ari.until_gone(f"/channels/{ari.b};2")


# --- Bridges ---


async def test_a_second_bridge_of_the_same_id_is_refused_with_409(ari, ear):
    assert await ari.status("POST", f"/bridges/{ari.bridge}", type="mixing") == 200
    assert await ari.status("POST", f"/bridges/{ari.bridge}", type="mixing") == 409
    assert (await ari.ask("GET", f"/bridges/{ari.bridge}"))[1]["id"] == ari.bridge


async def test_until_a_channel_is_in_stasis_it_cannot_be_added_and_then_it_can(ari, ear):
    await ari.status("POST", f"/bridges/{ari.bridge}", type="mixing")
    await ari.create(ari.b)
    answers = []
    async with asyncio.timeout(5):
        while 204 not in answers:
            path = f"/bridges/{ari.bridge}/addChannel"
            answers.append(await ari.status("POST", path, channel=ari.b))

    assert set(answers) <= {409, 422, 204}
    assert (await ari.ask("GET", f"/bridges/{ari.bridge}"))[1]["channels"] == [ari.b]


async def test_adding_a_channel_that_is_not_there_is_400_and_adds_nobody(ari, ear):
    await entered(ari, ear, ari.a)
    await ari.status("POST", f"/bridges/{ari.bridge}", type="mixing")
    both = f"{ari.a},{UNKNOWN}"

    assert await ari.status("POST", f"/bridges/{ari.bridge}/addChannel", channel=both) == 400
    assert (await ari.ask("GET", f"/bridges/{ari.bridge}"))[1]["channels"] == []


async def test_deleting_a_bridge_hangs_nobody_up(ari, ear):
    await both_legs(ari, ear)
    await ari.status("POST", f"/bridges/{ari.bridge}", type="mixing")
    both = f"{ari.a},{ari.b}"
    assert await ari.status("POST", f"/bridges/{ari.bridge}/addChannel", channel=both) == 204
    await ari.status("DELETE", f"/bridges/{ari.bridge}")

    assert await ari.status("GET", f"/channels/{ari.a}") == 200
    assert await ari.status("GET", f"/channels/{ari.b}") == 200


async def test_everything_is_listed_with_the_fields_that_reconciliation_reads(ari, ear):
    await entered(ari, ear, ari.b)
    await ari.status("POST", f"/bridges/{ari.bridge}", type="mixing")
    channels = {each["id"]: each for each in (await ari.ask("GET", "/channels"))[1]}
    bridges = [each["id"] for each in (await ari.ask("GET", "/bridges"))[1]]

    channel = channels[ari.b]
    assert channel["state"] == "Down"
    assert (channel["dialplan"]["app_name"], channel["dialplan"]["app_data"]) == ("Stasis", APP)
    assert {"exten", "context"} <= channel["dialplan"].keys()
    assert {"name", "creationtime", "caller", "accountcode"} <= channel.keys()
    assert ari.bridge in bridges


# --- Limits ---


async def test_a_limit_in_the_body_of_create_ends_the_channel_without_a_hangup_request(ari, ear):
    query = {"endpoint": "Local/123@monkeys", "app": APP, "channelId": ari.b}
    await ari.ask("POST", "/channels/create", {"variables": {"TIMEOUT(absolute)": "1"}}, **query)
    await ear.until("ChannelDestroyed")

    assert ear.kinds(ari.b) == ["StasisStart", "StasisEnd", "ChannelDestroyed"]


async def test_a_limit_can_be_moved_later(ari, ear):
    query = {"endpoint": "Local/123@monkeys", "app": APP, "channelId": ari.b}
    await ari.ask("POST", "/channels/create", {"variables": {"TIMEOUT(absolute)": "60"}}, **query)
    await ear.until("StasisStart")
    path, name = f"/channels/{ari.b}/variable", "TIMEOUT(absolute)"
    _, before = await ari.ask("GET", path, variable=name)
    assert await ari.status("POST", path, variable=name, value="3600") == 204
    _, after = await ari.ask("GET", path, variable=name)

    assert 0 < float(before["value"]) <= 60 < float(after["value"]) <= 3600


# --- Events ---


async def test_the_events_of_a_call_and_the_fields_that_are_read_of_them(ari, ear):
    await both_legs(ari, ear)
    assert await ari.status("POST", f"/channels/{ari.b}/dial", caller=ari.a, timeout="30") == 204
    await ear.until_all(ari.b, "Dial", "Dial ANSWER", "ChannelStateChange")
    assert await ari.status("DELETE", f"/channels/{ari.b}", reason_code="17") == 204
    await ear.until("ChannelDestroyed")

    kinds = ear.kinds(ari.b)
    assert kinds[0] == "StasisStart"
    # These swap places from run to run, as they have several publishers in Asterisk.
    assert sorted(kinds[1:4]) == ["ChannelStateChange", "Dial", "Dial ANSWER"]
    assert set(kinds[4:]) == {"ChannelHangupRequest", "StasisEnd", "ChannelDestroyed"}
    by_kind = {event["type"]: event for event in ear.heard}
    assert by_kind["StasisStart"]["args"] == []
    assert by_kind["StasisStart"]["channel"]["dialplan"]["exten"] == "123"
    assert by_kind["ChannelStateChange"]["channel"]["state"] == "Up"
    # Each sign of the end still tells that the channel was answered.
    for kind in ("ChannelHangupRequest", "StasisEnd", "ChannelDestroyed"):
        assert by_kind[kind]["channel"]["state"] == "Up", kind
    asked = by_kind["ChannelHangupRequest"]
    assert (asked["cause"], asked["soft"]) == (32, True)
    assert by_kind["ChannelDestroyed"]["cause"] == 17
    assert all(event["timestamp"] and event["application"] == APP for event in ear.heard)


async def test_the_end_of_a_channel_that_nobody_answered_says_that_it_was_not_up(ari, ear):
    await ari.create(ari.b)
    await ear.until("StasisStart")
    assert await ari.status("DELETE", f"/channels/{ari.b}", reason_code="16") == 204
    await ear.until("ChannelDestroyed")

    ends = [event for event in ear.heard if event["type"] != "StasisStart"]
    assert {event["channel"]["state"] for event in ends} == {"Down"}


async def test_only_what_the_filter_allows_is_sent(ari, ear):
    only = {"allowed": [{"type": "StasisStart"}, {"type": "ChannelDestroyed"}]}
    assert await ari.status("PUT", f"/applications/{APP}/eventFilter", only) == 200
    await entered(ari, ear, ari.b)
    await ari.status("POST", f"/channels/{ari.b}/dial", timeout="30")
    await ari.status("DELETE", f"/channels/{ari.b}")
    await ear.until("ChannelDestroyed")

    assert ear.kinds(ari.b) == ["StasisStart", "ChannelDestroyed"]


async def test_no_filter_can_be_set_before_the_application_is_connected(ari):
    assert await ari.status("PUT", f"/applications/{UNKNOWN}/eventFilter", FILTER) == 404


async def test_the_filter_is_forgotten_with_the_connection(ari):
    """So it is set after every connect."""
    async with ari.listen():
        await ari.status("PUT", f"/applications/{APP}/eventFilter", FILTER)
    await ari.until_gone(f"/applications/{APP}")
    async with ari.listen():
        _, app = await ari.ask("GET", f"/applications/{APP}")

    assert app["events_allowed"] == []


async def test_a_user_event_comes_back(ari, ear):
    body = {"variables": {"token": "a token"}}
    assert await ari.status("POST", "/events/user/echo", body, application=APP) == 204
    event = await ear.until("ChannelUserevent")

    assert event["userevent"]["token"] == "a token"
    assert await ari.status("POST", "/events/user/echo", body, application=UNKNOWN) == 404


async def test_a_newer_connection_takes_over_and_the_older_is_told(ari, ear):
    async with ari.listen() as newer:
        await ear.until("ApplicationReplaced")
        body = {"variables": {"token": "for the newer"}}
        await ari.status("POST", "/events/user/echo", body, application=APP)
        event = await newer.until("ChannelUserevent")

    assert event["userevent"]["token"] == "for the newer"
    assert not ear.socket.closed


# --- Ways to be refused ---


async def test_a_wrong_password_is_401_for_requests_and_for_the_connection(ari):
    auth = {"Authorization": aiohttp.encode_basic_auth(ari.node.user, "wrong")}
    async with aiohttp.ClientSession(ari.node.url, headers=auth) as http:
        async with http.get("/ari/channels") as answer:
            assert answer.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/ari/events", params={"app": APP})

    assert refused.value.status == 401


async def test_another_path_is_404(ari):
    auth = {"Authorization": aiohttp.encode_basic_auth(ari.node.user, ari.node.password)}
    async with aiohttp.ClientSession(ari.node.url, headers=auth) as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/elsewhere/events", params={"app": APP})

    assert refused.value.status == 404


# --- What is left on a call, to rebuild it from ---

HOSTILE = '[1,"${SHELL(id)}","\\"\\\\\',;|&=%27é",null]'


@pytest.mark.parametrize("text", [HOSTILE, "x" * 8_000], ids=["hostile", "long"])
async def test_a_variable_and_a_bridges_name_come_back_as_they_were_given(ari, ear, text):
    query = {"endpoint": "Local/123@monkeys", "app": APP, "channelId": ari.b}
    await ari.ask("POST", "/channels/create", {"variables": {"RINGMASTER_CALL": text}}, **query)
    await ari.ask("POST", f"/bridges/{ari.bridge}", {"type": "mixing", "name": text})

    path = f"/channels/{ari.b}/variable"
    assert await ari.ask("GET", path, variable="RINGMASTER_CALL") == (200, {"value": text})
    _, bridges = await ari.ask("GET", "/bridges")
    (listed,) = [each for each in bridges if each["id"] == ari.bridge]
    assert listed["name"] == text


async def test_a_variable_that_was_not_set_is_404(ari, ear):
    await ari.create(ari.b)

    assert await ari.status("GET", f"/channels/{ari.b}/variable", variable="NOT_SET") == 404
