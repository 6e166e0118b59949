"""A worker, the list of live calls and reconciliation see the same call in the same mailbox."""

from calls.machine.events import ChannelAnswered, ChannelRinging, Doubted, HangupAsked
from calls.machine.session import Phase
from calls.machine.table import decide, fold
from tests.machine.world import CALL, b, dialling, entered

WAITING = (ChannelRinging(b(), 2_000), ChannelAnswered(b(), 3_000))


def test_a_call_begins_with_its_caller_and_not_before():
    too_early = (HangupAsked(1, "ann"), Doubted(2))

    assert fold(CALL, None, too_early) is None
    began = fold(CALL, None, (*too_early, entered(), HangupAsked(3, "ann")))
    assert (began.call_id, began.phase) == (CALL, Phase.ENDING)


def test_events_are_taken_in_one_after_the_other():
    session = dialling().session
    assert fold(CALL, session, ()) is session

    talking = fold(CALL, session, WAITING)
    assert talking == decide(decide(session, WAITING[0]), WAITING[1])
    assert talking.phase is Phase.TALKING


def test_who_does_something_at_each_step_sees_each_step():
    seen = []

    def noted(session, event):
        seen.append((session.phase, event))
        return decide(session, event)

    fold(CALL, dialling().session, WAITING, noted)
    assert seen == [(Phase.DIALLING, event) for event in WAITING]
