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


# --- The caller of an ordered call, whose phone is created and then dialled ---

PHONE = ids.ordered_channel("token:1", "key", "20261129")
SILENT = "Local/silent@ringmaster-00000001;1"


def phone(state, **changes):
    return channel(PHONE, state=state, **changes)


def test_the_caller_of_an_ordered_call_has_dialled_nothing():
    """Where it comes from is no dialplan of the caller's: its extension is ``s``."""
    plan = channel()["dialplan"] | {"exten": "s"}
    event = decode(message("ChannelStateChange", channel=phone("Up", dialplan=plan)))

    assert isinstance(event, CallEntered)
    assert (event.channel_id, event.dialled, event.up) == (PHONE, "", True)


@pytest.mark.parametrize("kind", ["ChannelStateChange", "StasisStart"])
def test_who_answers_an_ordered_calls_phone_has_entered(kind):
    """By the second the version before hands its phones over."""
    assert decode(message(kind, args=[], channel=phone("Up"))) == CallEntered(
        PHONE,
        AT_MS,
        "PJSIP/alice-00000001",
        "",
        "4930100",
        "Alice",
        "demo",
        up=True,
        sip_call_id=SIP,
    )


@pytest.mark.parametrize("state", ["Down", "Ringing", "Ring"])
@pytest.mark.parametrize("kind", ["StasisStart", "StasisEnd", "ChannelStateChange"])
def test_at_a_phone_that_is_not_answered_nobody_comes_and_nobody_leaves(kind, state):
    assert decode(message(kind, args=[], channel=phone(state))) is None


def test_the_end_of_a_phone_that_is_not_answered_tells_why():
    ended = message("ChannelDestroyed", cause=17, tech_cause=486, channel=phone("Ringing"))

    assert decode(ended) == ChannelDestroyed(PHONE, AT_MS, 17, 486, sip_call_id=SIP)
    asked = message("ChannelHangupRequest", cause=17, channel=phone("Ringing"))
    assert decode(asked) == HangupRequested(PHONE, AT_MS, 17)


def test_who_leaves_an_answered_phone_has_left():
    left = decode(message("StasisEnd", channel=phone("Up")))

    assert left == ChannelLeft(PHONE, AT_MS, up=True)


def test_a_silent_channel_is_there_at_once_and_leaves():
    """It is never answered."""
    event = decode(message("StasisStart", args=[], channel=phone("Down") | {"name": SILENT}))
    assert isinstance(event, CallEntered)
    assert not event.up

    left = decode(message("StasisEnd", channel=phone("Down") | {"name": SILENT}))
    assert left == ChannelLeft(PHONE, AT_MS)
