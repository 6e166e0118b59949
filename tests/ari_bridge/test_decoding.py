"""ARI's messages, as Asterisk 22.10.1 sends them, become the engine's events; others nothing."""

from datetime import UTC, datetime

import pytest

from ari_bridge.decoding import EVENT_TYPES, LONGEST_TEXT, decode, entered_of, parse
from calls import ids
from calls.machine.events import (
    CallEntered,
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelLeft,
    ChannelProgressed,
    ChannelRinging,
    HangupRequested,
)

AT = "2026-11-23T14:40:00.123+0000"
AT_MS = int(datetime(2026, 11, 23, 14, 40, tzinfo=UTC).timestamp()) * 1000 + 123


def channel(name="1763900000.1", **changes):
    return {
        "id": name,
        "name": "PJSIP/alice-00000001",
        "state": "Ring",
        "protocol_id": "dc2043a8-78c8",
        "caller": {"name": "Alice", "number": "4930100"},
        "connected": {"name": "", "number": ""},
        "accountcode": "demo",
        "dialplan": {
            "context": "from-callers",
            "exten": "33123",
            "priority": 2,
            "app_name": "Stasis",
            "app_data": "ringmaster",
        },
        "creationtime": "2026-11-23T14:39:59.900+0000",
        "language": "en",
    } | changes


def message(kind, **changes):
    return {
        "type": kind,
        "timestamp": AT,
        "channel": channel(),
        "asterisk_id": "02:00:00:00:00:00",
        "application": "ringmaster",
    } | changes


def dial(status):
    peer = channel("1763900000.1.b1", state="Down")
    return message("Dial", dialstatus=status, forward="", dialstring="", peer=peer) | {
        "channel": None
    }


A = "1763900000.1"
B = "1763900000.1.b1"
SIP = "dc2043a8-78c8"
ENTERED = CallEntered(
    A, AT_MS, "PJSIP/alice-00000001", "33123", "4930100", "Alice", "demo", sip_call_id=SIP
)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (message("StasisStart", args=[]), ENTERED),
        (message("StasisStart", args=[], channel=channel(B)), None),
        (message("StasisStart", args=[], channel=channel(f"{B};2")), None),
        (dial(""), ChannelDialled(B, AT_MS, SIP)),
        (dial("RINGING"), ChannelRinging(B, AT_MS)),
        (dial("PROGRESS"), ChannelProgressed(B, AT_MS)),
        (dial("ANSWER"), None),
        (dial("BUSY"), None),
        (
            message("ChannelStateChange", channel=channel(B, state="Up")),
            ChannelAnswered(B, AT_MS),
        ),
        (message("ChannelStateChange", channel=channel(B, state="Ringing")), None),
        (message("ChannelHangupRequest"), HangupRequested(A, AT_MS)),
        (message("ChannelHangupRequest", cause=17), HangupRequested(A, AT_MS, 17)),
        (
            message("ChannelHangupRequest", cause=32, soft=True),
            HangupRequested(A, AT_MS, 32, soft=True),
        ),
        (message("StasisEnd"), ChannelLeft(A, AT_MS)),
        (
            message("ChannelDestroyed", cause=19, cause_txt="", tech_cause=480),
            ChannelDestroyed(A, AT_MS, 19, 480, sip_call_id=SIP),
        ),
        # Without a cause of its own (TIMEOUT(absolute)), and where there is no SIP.
        (
            message("ChannelDestroyed", cause=0, cause_txt="Unknown"),
            ChannelDestroyed(A, AT_MS, sip_call_id=SIP),
        ),
        (
            message("ChannelDestroyed", cause=16, tech_cause=0),
            ChannelDestroyed(A, AT_MS, 16, sip_call_id=SIP),
        ),
        (message("ChannelVarset", variable="X", value="y"), None),
        (message("BridgeDestroyed", bridge={"id": f"{A}.br"}), None),
        ({"type": "ApplicationReplaced", "timestamp": AT, "application": "ringmaster"}, None),
    ],
)
def test_what_a_message_means(said, meant):
    assert decode(said) == meant


@pytest.mark.parametrize(
    ("timestamp", "ms"),
    [
        ("2026-11-23T14:40:00.123+0000", AT_MS),
        ("2026-11-23T15:40:00.123+0100", AT_MS),
        ("2026-11-23T09:40:00.123-0500", AT_MS),
        ("2026-11-23T14:40:00.000+0000", AT_MS - 123),
    ],
)
def test_times_are_asterisks_own_in_whatever_zone_it_is(timestamp, ms):
    assert decode(message("StasisEnd", timestamp=timestamp)).at_ms == ms


def test_a_channel_that_is_already_up_is_taken_for_up():
    assert decode(message("StasisStart", args=[], channel=channel(state="Up"))).up


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "=cmd|' /C calc'!A0", "\u202e\x00\n<script>", "💥"]
)
def test_what_a_caller_says_of_themself_is_kept_but_cut(text):
    said = message(
        "StasisStart",
        args=[],
        channel=channel(
            caller={"name": text, "number": text},
            dialplan=channel()["dialplan"] | {"exten": text},
            accountcode=text,
        ),
    )
    event = decode(said)

    for kept in (event.caller_name, event.caller_number, event.dialled, event.account_code):
        assert kept == text[:LONGEST_TEXT]


@pytest.mark.parametrize("caller", [None, {}, {"name": None, "number": None}])
def test_a_caller_without_name_and_number_is_a_caller(caller):
    event = decode(message("StasisStart", args=[], channel=channel(caller=caller)))

    assert (event.caller_name, event.caller_number) == ("", "")


@pytest.mark.parametrize(
    "malformed",
    [
        {},
        {"type": "StasisEnd"},
        message("StasisEnd", channel=None),
        message("StasisEnd", channel={}),
        message("StasisEnd", timestamp=None),
        message("StasisEnd", timestamp="yesterday"),
        message("StasisEnd", timestamp="2026-11-23 14:40"),
        message("StasisStart", channel={"id": A}),
        message("StasisStart", channel=channel(dialplan=None)),
        message("StasisStart", channel=channel(caller="Alice")),
        message("Dial"),
        message("Dial", peer=None, dialstatus=""),
        message("ChannelStateChange", channel={"id": A}),
        message("StasisEnd", channel=channel(5)),
        message("StasisEnd", channel=channel("")),
        message("ChannelHangupRequest", cause="17"),
        message("ChannelDestroyed", cause=[17]),
        message("ChannelDestroyed", cause=17, tech_cause="486"),
    ],
)
def test_what_is_not_as_ari_describes_it_is_an_error_and_no_event(malformed):
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode(malformed)


@pytest.mark.parametrize("frame", ["", "no json", "[]", "null", '"text"', "1", b"\xff\xfe"])
def test_a_frame_that_holds_no_object_is_an_error(frame):
    with pytest.raises(ValueError, match=r"JSON|char"):
        parse(frame)


def test_a_call_can_be_begun_from_a_listing():
    event = entered_of(channel(state="Up"), 5_000)

    assert (event.at_ms, event.recovered, event.up, event.dialled) == (5_000, True, True, "33123")


def test_every_kind_that_is_decoded_is_asked_for():
    asked_for = {"StasisStart", "StasisEnd", "ChannelStateChange", "ChannelHangupRequest"}

    assert asked_for | {"ChannelDestroyed", "Dial"} <= set(EVENT_TYPES)


SOUND = "lp=0;rxjitter=0.000312;rxcount=325;rtt=0.0;rxmes=92.9"


def test_the_sip_call_id_of_either_leg_comes_with_its_first_event():
    assert decode(message("StasisStart", args=[])).sip_call_id == "dc2043a8-78c8"
    assert decode(dial("")).sip_call_id == "dc2043a8-78c8"


@pytest.mark.parametrize("kind", ["StasisEnd", "ChannelDestroyed"])
@pytest.mark.parametrize(
    ("variables", "media"),
    [
        ({"RTPAUDIOQOS": f"ssrc=1;themssrc=2;{SOUND}"}, SOUND),
        ({"RTPAUDIOQOS": ""}, ""),
        ({"RTPAUDIOQOS": None}, ""),
        ({}, ""),
        (None, ""),
        (["RTPAUDIOQOS"], ""),
    ],
)
def test_how_the_audio_was_comes_with_the_end(kind, variables, media):
    ended = message(kind, channel=channel(channelvars=variables), cause=16, cause_txt="")

    assert decode(ended).media == media


def test_the_caller_of_an_ordered_call_has_dialled_nothing():
    """Where it comes from is no dialplan of the caller's: its extension is ``s``."""
    name = ids.ordered_channel("token:1", "key", "20261129")
    plan = channel()["dialplan"] | {"exten": "s"}
    event = decode(message("StasisStart", channel=channel(name, state="Up", dialplan=plan)))

    assert isinstance(event, CallEntered)
    assert (event.channel_id, event.dialled, event.up) == (name, "", True)
