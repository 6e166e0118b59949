"""What a story says of a SIP message, and that nobody's secrets are in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.story.sip import MASK, SipMessage, headers, masked

INVITE = (
    "INVITE sip:49200:hunter2@127.0.0.1:5060;user=phone SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bK-1\r\n"
    "i: 1-7001@127.0.0.1\r\n"
    "CSeq: 1 INVITE\r\n"
    'Proxy-Authorization: Digest username="alice", realm="asterisk",\r\n'
    ' response="deadbeef", nonce="feedface"\r\n'
    "authorization : Digest response=deadbeef\r\n"
    "Content-Length: 10\r\n"
    "\r\n"
    "v=0\r\n"
    "k=clear:deadbeef\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:deadbeef\r\n"
    "a=ice-pwd:deadbeef\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
)


def message(text):
    return SipMessage(1_763_900_000_123_456, "127.0.0.1:5061", "127.0.0.1:5060", "x", text)


def test_no_secret_is_left_and_the_rest_is():
    text = masked(INVITE)

    for secret in ("deadbeef", "feedface", "hunter2"):
        assert secret not in text
    assert f"Proxy-Authorization: {MASK}\r\n" in text
    assert "a=rtpmap:0 PCMU/8000" in text
    assert "CSeq: 1 INVITE" in text


@given(st.text(max_size=300))
def test_no_message_makes_masking_or_naming_fail(text):
    each = message(masked(text))

    assert isinstance(each.name, str)
    assert each.code is None or 100 <= each.code < 700


@pytest.mark.parametrize(
    ("text", "name", "of_method"),
    [
        (INVITE, "INVITE", "INVITE"),
        ("SIP/2.0 180 Ringing\r\nCSeq: 7 INVITE\r\n\r\n", "180 Ringing", "INVITE"),
        ("SIP/2.0 200 OK\r\nCSeq: 8 BYE\r\n\r\n", "200 OK (BYE)", "BYE"),
        ("SIP/2.0 503\r\nCSeq: 7 INVITE\r\n\r\n", "503", "INVITE"),
        ("ACK sip:x SIP/2.0\r\n\r\n", "ACK", "ACK"),
        ("nonsense", "nonsense", ""),
    ],
)
def test_a_message_has_the_name_that_stands_on_a_ladder(text, name, of_method):
    assert (message(text).name, message(text).of_method) == (name, of_method)


def test_short_header_names_are_known():
    assert headers(INVITE)["call-id"] == "1-7001@127.0.0.1"


def test_a_message_comes_back_from_its_trace():
    kept = message(INVITE)

    assert SipMessage.from_plain(kept.to_plain()) == kept
    assert SipMessage.from_plain([*kept.to_plain(), "newer"]) == kept


@pytest.mark.parametrize("plain", [None, 1, [], ["soon", 1, 2, 3, 4], [1, 2]])
def test_what_is_no_message_is_none(plain):
    assert SipMessage.from_plain(plain) is None


def test_what_a_caller_keys_in_is_masked():
    text = masked("INFO sip:x SIP/2.0\r\nCSeq: 3 INFO\r\n\r\nSignal=4\r\nDuration=160\r\n")

    assert text == f"INFO sip:x SIP/2.0\r\nCSeq: 3 INFO\r\n\r\n{MASK}"
