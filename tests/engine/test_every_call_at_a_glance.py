"""The quick look at all live calls says what the slow one says."""

import pytest
from hypothesis import given

from calls.engine.live import LiveState, live_call
from calls.engine.overview import Wanted, glance, overview
from calls.machine.events import ChannelRinging, encode
from calls.machine.session import Session, to_json
from calls.store.overview import Kept
from tests.machine.strategies import instance_of
from tests.machine.world import CALL, b, dialling, entered


def saved(session: Session) -> bytes:
    return to_json(session)


@given(instance_of(Session))
def test_a_session_without_mail_is_shown_as_the_machine_would_show_it(session):
    shown = glance(CALL, saved(session), [])
    assert shown == live_call(CALL, session, ())


def test_a_call_that_no_worker_has_seen_is_shown_by_its_first_event():
    shown = glance(CALL, None, [encode(entered(dialled="4930"))])
    assert shown is not None
    assert (shown.state, shown.callee, shown.account) == (LiveState.ROUTING, "4930", "")


def test_a_call_without_session_and_mail_is_none():
    assert glance(CALL, None, []) is None


def test_ringing_that_waits_in_the_mailbox_is_seen():
    world = dialling()
    before = glance(CALL, saved(world.session), [])
    after = glance(CALL, saved(world.session), [encode(ChannelRinging(b(), 4_000))])
    assert (before.state, after.state, after.since_ms) == (
        LiveState.DIALLING,
        LiveState.RINGING,
        4_000,
    )


def test_what_cannot_be_read_hides_no_other_call(caplog):
    good = Kept("demo:1.1", None, [encode(entered())])
    kept = [Kept("demo:1.2", None, [b"no event"]), Kept("demo:1.3", b"no session", []), good]
    assert [call.call_id for call in overview(kept)] == ["demo:1.1"]
    assert "Call demo:1.2 cannot be shown." in caplog.text
    assert "Call demo:1.3 cannot be shown." in caplog.text


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Wanted(), True),
        (Wanted(node="demo"), True),
        (Wanted(node="pbx1"), False),
        (Wanted(state="routing"), True),
        (Wanted(state="ringing"), False),
        (Wanted(account="acme"), False),
        (Wanted(number="331"), True),
        (Wanted(number="4930100"), True),
        (Wanted(number="999"), False),
        (Wanted(trunk="carrier-a"), False),
    ],
)
def test_a_call_is_wanted_by_all_that_is_asked_for(wanted, taken):
    call = glance(CALL, None, [encode(entered())])
    assert wanted.takes(call) is taken
