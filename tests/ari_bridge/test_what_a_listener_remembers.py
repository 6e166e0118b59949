"""A listener remembers the answers of its node's calls, and each end is posted with them."""

from ari_bridge.decoding import decode
from ari_bridge.heard import Heard
from calls.machine.events import ChannelAnswered, ChannelDestroyed, ChannelLeft, HangupRequested
from tests.ari_bridge.test_decoding import message

A = "1763900000.1"
B1, B2 = f"{A}.b1", f"{A}.b2"


def test_each_sign_of_the_end_of_either_side_tells_who_answered_and_when():
    heard = Heard()
    heard.note(ChannelAnswered(B2, 70))

    for channel in (A, B2):
        for end in (HangupRequested, ChannelLeft, ChannelDestroyed):
            told = heard.note(end(channel, 90, up=True))
            assert told == end(channel, 90, answered_leg=2, answered_ms=70)


def test_an_answer_that_comes_twice_keeps_its_first_time():
    heard = Heard()
    heard.note(ChannelAnswered(B1, 70))
    heard.note(ChannelAnswered(B1, 80))

    assert heard.answered_ms(A) == 70


def test_a_later_attempts_answer_takes_the_place_of_one_that_was_given_up():
    heard = Heard()
    heard.note(ChannelAnswered(B1, 70))
    heard.note(ChannelAnswered(B2, 80))
    heard.note(ChannelAnswered(B1, 90))

    assert heard.note(ChannelLeft(A, 99)).answered_leg == 2
    assert heard.answered_ms(A) == 80


def test_of_another_call_or_one_that_nobody_answered_an_end_tells_nothing():
    heard = Heard()
    heard.note(ChannelAnswered(B1, 70))
    heard.note(ChannelAnswered(A, 71))

    for channel in ("1763900000.2", "1763900000.2.b1"):
        assert heard.note(ChannelLeft(channel, 90)) == ChannelLeft(channel, 90)


def test_what_a_comparison_did_not_find_any_more_is_forgotten():
    heard = Heard()
    heard.note(ChannelAnswered(B1, 70))
    heard.keep_only({"1763900000.2"})

    assert heard.note(ChannelLeft(A, 90)) == ChannelLeft(A, 90)


def test_asterisks_own_word_that_a_channel_was_up_is_kept():
    for kind in ("ChannelHangupRequest", "StasisEnd", "ChannelDestroyed"):
        for state, up in (("Up", True), ("Ringing", False)):
            event = decode(message(kind, channel={"id": A, "state": state}))
            assert event is not None
            assert event.up is up


def test_an_answer_that_crossed_with_the_end_of_its_attempt_is_told_by_nobody():
    heard = Heard()
    heard.note(ChannelAnswered(B1, 70))
    heard.note(HangupRequested(B1, 71, 32, soft=True, up=True))

    for end in (ChannelDestroyed(B1, 72, up=True), HangupRequested(A, 80, up=True)):
        told = heard.note(end)
        assert (told.answered_leg, told.up) == (0, False)
    assert heard.answered_ms(A) is None


def test_that_we_end_b_behind_its_caller_leaves_the_answer_what_it_was():
    heard = Heard()
    heard.note(ChannelAnswered(B1, 70))
    heard.note(HangupRequested(A, 80))
    heard.note(HangupRequested(B1, 81, 32, soft=True))

    assert heard.note(ChannelDestroyed(B1, 82)).answered_leg == 1


def test_when_an_attempt_answered_is_told_of_no_other():
    heard = Heard()
    heard.note(ChannelAnswered(B1, 70))

    assert heard.answered_ms(A, 1) == 70
    assert heard.answered_ms(A, 2) is None
