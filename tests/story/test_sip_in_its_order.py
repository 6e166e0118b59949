"""SIP stands on the ladder in the order in which one message led to the next.

Asterisk copies what it sends after sending it: the other end's next message may have an earlier
time than what it answers.
"""

import pytest

from calls.story.sip import SipMessage
from calls.story.sip_order import in_order

US, FAR = "127.0.0.1:5060", "127.0.0.1:5070"


def message(at_us: int, line: str, cseq: str, source: str = US) -> SipMessage:
    target = FAR if source == US else US
    return SipMessage(at_us, source, target, "one", f"{line}\r\nCSeq: {cseq}\r\n\r\n")


INVITE = message(10, "INVITE sip:1@h SIP/2.0", "7 INVITE", FAR)
OK = message(50, "SIP/2.0 200 OK", "7 INVITE")


def names(*messages: SipMessage) -> list[str]:
    return [each.name for each in in_order(messages)]


@pytest.mark.parametrize("at_us", [40, 50, 60])
def test_an_ack_follows_the_answer_that_it_takes(at_us):
    ack = message(at_us, "ACK sip:1@h SIP/2.0", "7 ACK", FAR)

    assert names(ack, OK, INVITE) == ["INVITE", "200 OK", "ACK"]


def test_an_ack_does_not_wait_for_the_answer_to_a_later_invite():
    ack = message(60, "ACK sip:1@h SIP/2.0", "7 ACK", FAR)
    again = message(70, "INVITE sip:1@h SIP/2.0", "8 INVITE", FAR)
    taken = message(80, "SIP/2.0 200 OK", "8 INVITE")

    assert names(taken, again, ack, OK, INVITE) == ["INVITE", "200 OK", "ACK", "INVITE", "200 OK"]


def test_a_response_follows_its_request():
    bye = message(90, "BYE sip:1@h SIP/2.0", "9 BYE")
    answer = message(85, "SIP/2.0 200 OK", "9 BYE", FAR)

    assert names(answer, bye) == ["BYE", "200 OK (BYE)"]


def test_the_ringing_is_no_answer_that_an_ack_takes():
    ringing = message(70, "SIP/2.0 180 Ringing", "7 INVITE")
    ack = message(55, "ACK sip:1@h SIP/2.0", "7 ACK", FAR)

    assert names(ringing, ack, OK, INVITE) == ["INVITE", "200 OK", "ACK", "180 Ringing"]
