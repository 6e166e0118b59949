"""Handlers of an attempt, for a call that has none: nothing is decided, and nothing breaks.

No event leads there; a session that another version wrote might.
"""

import pytest
from msgspec.structs import replace

from calls.machine import attempts, doubt, facts, proofs, talk
from calls.machine.commands import Dial, Hangup
from calls.machine.events import (
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    CommandDone,
    CommandFailed,
    Listed,
)
from calls.machine.record import call_record
from calls.machine.session import Leg, Phase
from cdr.record import Outcome
from tests.machine.world import A, b, dialling, routing

SESSION = replace(routing().session, pending=())
LEG = Leg(1, b(), "a", "33", "49", 30, 1)
DONE = CommandDone(5_000, Dial(b(), 30))
FAILED = CommandFailed(5_000, Dial(b(), 30), "it broke")
LISTED = Listed(5_000, {A: "Ring"}, bridge=False)
DESTROYED = ChannelDestroyed(b(), 5_000)


@pytest.mark.parametrize(
    ("handler", "event"),
    [
        (attempts.join, DONE),
        (attempts.dial, DONE),
        (attempts.unanswered, DESTROYED),
        (attempts.no_channel, FAILED),
        (talk.answered, ChannelAnswered(b(), 5_000)),
        (talk.end_of_talk, DESTROYED),
        (doubt.looked_in_setup, LISTED),
        (doubt.looked_while_dialling, LISTED),
        (facts.note, DESTROYED),
        (facts.note, ChannelDialled(A, 5_000)),
        (facts.note, CommandDone(5_000, Hangup(b(), 16), gone=True)),
    ],
)
def test_it_leaves_the_call_as_it_is(handler, event):
    assert SESSION.legs == ()
    assert handler(SESSION, event) == SESSION


def test_a_command_that_failed_is_looked_into_all_the_same():
    assert attempts.look_why(SESSION, FAILED).pending


def test_an_attempt_that_still_exists_is_not_unanswered():
    session = dialling().session
    assert attempts.unanswered(session, DESTROYED) is session


def test_the_reason_that_came_first_stays():
    session = facts.with_leg(dialling().session, 1, reason="first")
    assert attempts.look_why(session, FAILED).leg.reason == "first"


def test_trunks_are_judged_by_attempts_that_were_made():
    def known(**changes):
        return list(proofs.settled(SESSION, replace(SESSION, legs=(replace(LEG, **changes),))))

    assert known(outcome=Outcome.FAILED) == [("a", False)]
    assert known(channel_id="", outcome=Outcome.SKIPPED_FULL) == []
    assert known() == []


def test_a_call_that_goes_on_has_no_record():
    with pytest.raises(ValueError, match="has no record yet: nothing has ended it"):
        call_record(SESSION)


def test_an_event_that_says_nothing_new_of_a_leg_changes_nothing():
    session = replace(SESSION, phase=Phase.SETUP, legs=(LEG,))
    assert facts._leg_changes(session.leg, LISTED) == {}
