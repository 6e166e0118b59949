"""From HEP datagrams to SIP messages in Redis: masked, by Call-ID, and never too many."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from ari_bridge.hep import HepError, Packet, unpack
from ari_bridge.sip_trace import MOST_PER_S, Catcher, caught
from calls.story.sip import SipMessage
from cdr.signalling import LONG_MS, MOST_MESSAGES, SHORT_MS, messages_of
from tests.ari_bridge.hep_packets import chunk, datagram

INVITE = (
    b"INVITE sip:x@y SIP/2.0\r\nCall-ID: a@b\r\nCSeq: 1 INVITE\r\nAuthorization: Digest z\r\n\r\n"
)


def response(code, method="INVITE", call_id="a@b"):
    return f"SIP/2.0 {code} X\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\r\n".encode()


def request(method, call_id="a@b"):
    return f"{method} sip:x SIP/2.0\r\ni: {call_id}\r\nCSeq: 2 {method}\r\n\r\n".encode()


def test_a_datagram_is_unpacked():
    assert unpack(datagram(b"hello", extra=chunk(15, b"vendor's own", vendor=7))) == Packet(
        1_763_900_000_123_456, "127.0.0.1:5061", "127.0.0.2:5060", 1, b"hello"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HEP3",
        b"HEP2\x00\x06",
        datagram(b"x")[:-1],
        datagram(b"x") + b"x",
        b"HEP3\x00\x06",
        b"HEP3\x00\x0c" + b"\x00\x00\x00\x0f\x00\x00",
        b"HEP3\x00\x0c" + b"\x00\x00\x00\x0f\xff\xff",
        b"HEP3\x00\x09\x00\x00\x00",
    ],
)
def test_what_is_no_hep_is_refused(data):
    with pytest.raises(HepError):
        unpack(data)


@given(st.binary(max_size=400))
def test_no_datagram_does_more_than_be_refused(data):
    for each in (data, b"HEP3" + (6 + len(data)).to_bytes(2, "big") + data):
        try:
            unpack(each)
        except HepError:
            continue


@given(st.binary(max_size=400))
def test_no_payload_makes_catching_fail(payload):
    caught(datagram(payload))


def test_what_is_kept_is_masked_and_has_its_call_id():
    kept = caught(datagram(INVITE))
    message = SipMessage.from_plain(orjson.loads(kept.text))

    assert kept.call_id == message.call_id == "a@b"
    assert "Digest" not in message.text
    assert message.at_us == 1_763_900_000_123_456


@pytest.mark.parametrize(
    "payload",
    [
        request("REGISTER"),
        request("OPTIONS"),
        response(200, "REGISTER"),
        b"INVITE sip:x SIP/2.0\r\n\r\n",
        b"\r\n\r\n",
        request("INVITE", "c" * 300),
    ],
)
def test_what_belongs_to_no_call_is_left_out(payload):
    assert caught(datagram(payload)) is None


def test_what_is_no_sip_is_left_out():
    assert caught(datagram(INVITE, kind=5)) is None


@pytest.fixture
async def catcher(redis_url, clean_redis):
    client = Redis.from_url(redis_url)
    yield Catcher(client, lambda: 0.0)
    await client.aclose()


async def put(catcher, *payloads):
    for payload in payloads:
        catcher.datagram_received(datagram(payload), None)
    await catcher.flush()


KEY = "ringmaster:sip:a@b"


async def test_messages_wait_in_order_by_their_call_id(catcher, clean_redis):
    await put(catcher, INVITE, response(180), request("INVITE", "other"))
    kept = orjson.loads(messages_of(clean_redis, ["a@b", "a@b", "none"]))

    assert [SipMessage.from_plain(each).name for each in kept] == ["INVITE", "180 X"]
    assert messages_of(clean_redis, ["none"]) == b""
    assert messages_of(clean_redis, []) == b""


async def test_a_call_that_is_up_is_kept_until_its_bye(catcher, clean_redis):
    await put(catcher, INVITE)
    assert 0 < clean_redis.pttl(KEY) <= SHORT_MS
    await put(catcher, response(200), request("ACK"), request("UPDATE"), response(200, "UPDATE"))
    assert SHORT_MS < clean_redis.pttl(KEY) <= LONG_MS
    await put(catcher, request("BYE"), response(200, "BYE"))
    assert 0 < clean_redis.pttl(KEY) <= SHORT_MS


async def test_a_refused_call_lapses_though_it_is_acknowledged(catcher, clean_redis):
    await put(catcher, INVITE, response(486), request("ACK"))

    assert 0 < clean_redis.pttl(KEY) <= SHORT_MS


async def test_of_one_call_id_only_the_first_messages_are_kept(catcher, clean_redis):
    await put(catcher, *([INVITE] * (MOST_MESSAGES + 20)))

    assert clean_redis.llen(KEY) == MOST_MESSAGES


async def test_a_flood_is_cut(catcher, clean_redis, caplog):
    await put(catcher, *(request("INVITE", f"c{each}") for each in range(MOST_PER_S + 50)))

    assert clean_redis.dbsize() == MOST_PER_S
    assert "More SIP than can be kept" in caplog.text


async def test_what_is_no_hep_is_said_and_left_out(catcher, clean_redis, caplog):
    catcher.datagram_received(b"nonsense", None)
    await catcher.flush()

    assert clean_redis.dbsize() == 0
    assert "no HEPv3" in caplog.text


async def test_with_redis_away_messages_are_dropped_and_it_is_said(caplog):
    client = Redis.from_url("redis://127.0.0.1:1/0")
    catcher = Catcher(client, lambda: 0.0)
    await put(catcher, INVITE)
    await client.aclose()

    assert "takes no SIP messages" in caplog.text
