"""REST over a WebSocket: what is under way when a socket breaks, and what HTTP still does."""

import asyncio

import pytest

from ari_bridge import rest_socket
from ari_bridge.client import Unreachable
from ari_bridge.rest_socket import RestSocket

CHANNEL = "/channels/1.2"


@pytest.fixture
async def client(double):
    found = RestSocket(double.node, "ringmaster")
    yield found
    await found.close()


def websockets(double):
    """WebSockets taken so far, and requests that came over HTTP or one of them."""
    return double.connections


async def test_requests_share_one_socket_of_an_application_of_its_own(double, client):
    double.enter("1.2")
    answers = await asyncio.gather(*(client.request("GET", CHANNEL) for _ in range(20)))

    assert [answer.status for answer in answers] == [200] * 20
    assert websockets(double) == 1
    (name,) = double.apps
    assert name.startswith("ringmaster-rest-")
    assert double.apps[name].allowed == ["RESTResponse"], "it hears answers and no events"


async def test_values_that_would_end_a_query_arrive_as_they_are(double, client):
    double.enter("1.2")
    value = "a&b=c d+e%20/é"
    await client.request("POST", f"{CHANNEL}/variable", {"variable": "ANY", "value": value})

    assert double.channels["1.2"].variables["ANY"] == value


async def test_a_socket_that_breaks_may_have_delivered_what_was_under_way(double, client):
    double.enter("1.2")
    await client.request("GET", CHANNEL)
    double.fail("GET", CHANNEL, "stalled")
    # The second waits in Asterisk behind the first: a socket's requests are answered in turn.
    asking = [asyncio.ensure_future(client.request("GET", CHANNEL)) for _ in range(2)]
    await double.wait_for(lambda: double.requests.count(f"GET {CHANNEL}") == 2)
    await double.drop_sockets()

    for outcome in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(outcome, Unreachable)
        assert outcome.sent
    assert (await client.request("GET", CHANNEL)).ok, "the next request makes a new socket"
    assert websockets(double) == 2


async def test_a_socket_on_which_no_answer_comes_is_given_up(double, client, monkeypatch):
    monkeypatch.setattr(rest_socket, "ANSWER_S", 0.05)
    double.enter("1.2")
    double.fail("GET", CHANNEL, "stalled")
    with pytest.raises(Unreachable) as caught:
        await client.request("GET", CHANNEL)

    assert caught.value.sent
    assert (await client.request("GET", CHANNEL)).ok
    assert websockets(double) == 2


async def test_an_asterisk_that_answers_no_requests_on_sockets_is_asked_by_http(
    double, client, monkeypatch, caplog
):
    monkeypatch.setattr(rest_socket, "TRY_S", 0.05)
    double.answers_on_sockets = False
    double.enter("1.2")

    assert (await client.request("GET", CHANNEL)).ok
    assert (await client.request("GET", CHANNEL)).ok
    assert websockets(double) == 1, "it is not tried again with each request"
    assert "answers no requests on a WebSocket" in caplog.text


async def test_a_node_that_takes_no_socket_now_is_asked_by_http(double, client, caplog):
    double.fail("GET", "/events", 503)
    double.enter("1.2")

    assert (await client.request("GET", CHANNEL)).ok
    assert "takes no REST socket" in caplog.text


async def test_a_body_too_long_for_a_socket_goes_over_http(double, client):
    double.enter("1.2")
    await client.request("GET", CHANNEL)
    long = {"variables": {"ANY": "x" * rest_socket.LONGEST_BODY}}
    query = {"endpoint": "Local/1@monkeys", "app": "ringmaster", "channelId": "1.2.b1"}
    answer = await client.request("POST", "/channels/create", query, long)

    assert answer.ok


async def test_a_node_that_is_away_is_unreachable_and_nothing_was_sent(double, client):
    await double.down()
    with pytest.raises(Unreachable) as caught:
        await client.request("GET", CHANNEL)

    assert not caught.value.sent
