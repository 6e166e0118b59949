"""A talk is recorded and goes on though Redis forgot it or nobody heard of it; no answer that was
none begins one."""

import pytest

from ari_bridge.comparison import Snapshot, expected_of
from ari_bridge.heard import Heard
from calls.machine import table
from calls.machine.commands import Hangup, Reserve
from calls.machine.events import (
    ChannelAnswered,
    ChannelDestroyed,
    Doubted,
    LimitRefused,
)
from calls.machine.session import Phase, Session
from tests.machine.test_an_answer_that_only_the_end_tells_of import (
    Copied,
    given_up,
    just_begun,
    ordered_talk_that_is_forgotten,
    talking,
)
from tests.machine.world import A, World, b, calling, dialling, entered, plan, rule, target


def hunting(**changes) -> Copied:
    """The first trunk is congested, the second answers."""
    world = Copied(**({"found": plan(target(), target("carrier-b")), "rules": (rule(),)} | changes))
    world.hear(entered())
    world.hear_all()
    return world


def talking_in_the_second_attempt() -> tuple[Copied, dict[Phase, Session]]:
    """With the session as it was in each phase of the first attempt."""
    world = hunting()
    first = {**world.copies, Phase.ROUTING: just_begun(world)}
    world.end(b(1), 34, 503)
    world.hear_all()
    world.answer(b(2))
    world.hear_all()
    assert world.session.phase is Phase.TALKING
    world.told.clear()
    return world, first


def test_hunting_between_two_attempts_the_callers_end_tells_of_the_talk():
    world = hunting()
    world.end(b(1), 34, 503)
    world.copies.clear()
    world.hear_all()
    between = world.copies[Phase.RESERVING]
    world.answer(b(2))
    world.hear_all()
    assert world.session.phase is Phase.TALKING
    world.told.clear()
    world.session = between
    world.heard = Heard()
    world.now_ms += 2_500
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "answered"


def test_an_answer_of_a_given_up_attempt_is_not_taken_for_the_next_ones():
    world = dialling(found=plan(target(), target("carrier-b")))
    # B 1 answers as it is given up; Asterisk answers A, and nobody hears it.
    world.channels[b(1)] = world.channels[A] = "Up"
    world.session = given_up(world.session)
    world.work()
    world.told.clear()
    world.session = table.decide(world.session, ChannelDestroyed(b(1), world.now_ms, 16))
    assert world.session.phase is Phase.DIALLING
    assert world.session.leg.number == 2
    world.ring(b(2))
    world.hear_all()
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "cancelled", world.record
    assert world.record.answered_ms is None


def test_a_forgotten_give_up_makes_no_answer():
    world = hunting()
    copy = world.session
    world.channels[b(1)] = world.channels[A] = "Up"
    world.heard.note(ChannelAnswered(b(1), world.now_ms))
    world.session = given_up(world.session)
    world.work()
    world.told.clear()
    world.ring(b(2))
    world.told.clear()
    world.session = copy
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "cancelled", world.record


def test_an_ordered_call_whose_phone_is_only_heard_to_hang_up():
    world, _ = ordered_talk_that_is_forgotten()
    world.end(A)
    world.hear(world.told.pop(0))
    world.told.clear()
    world.end(b())
    world.hear_all()
    for _ in range(5):
        if world.session.phase is Phase.OVER:
            break
        world.doubt()
        world.told.clear()
    assert world.record.disposition == "answered", world.record


def test_the_record_names_whom_to_bill():
    world = talking()
    account = world.session.account
    world.go_back(Phase.ROUTING)
    world.end(A)
    world.hear_all()
    record = world.record
    assert record.disposition == "answered"
    assert (record.account, record.callee_received) == (account, "33123")


def compare(world: World) -> None:
    """What a comparison does with a call that lives."""
    snapshot = Snapshot("ringmaster")
    plain = {"app_name": "Stasis", "app_data": "ringmaster"}
    snapshot.add_channels(
        {"id": name, "state": state, "dialplan": plain} for name, state in world.channels.items()
    )
    each = expected_of(world.session)
    assert each is not None
    if each.is_behind(snapshot.calls[A]):
        world.hear(world.as_found(world.heard.answered_ms(A)))
    for channel in each.answered_unheard(snapshot.states):
        world.hear(ChannelAnswered(channel, world.now_ms))
    if each.is_contradicted(snapshot.states):
        world.hear(Doubted(world.now_ms))
    world.hear_all()


# --- rebuilt calls ---


def test_a_rebuilt_call_believes_no_answer_of_a_given_up_attempt():
    """The listener remembers b1's answer, which crossed with its end; Redis is emptied while the
    second trunk rings."""
    world = dialling(found=plan(target(), target("carrier-b")))
    world.channels[b(1)] = world.channels[A] = "Up"
    world.heard.note(ChannelAnswered(b(1), world.now_ms))
    world.session = given_up(world.session)
    world.work()
    world.hear_all()
    world.ring(b(2))
    world.hear_all()
    assert world.session.phase is Phase.DIALLING
    world.forget(world.heard.answered_ms(A, 2))
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "cancelled", world.record


def test_a_phone_that_was_up_before_b_was_called_has_not_talked():
    """B is busy before anybody notices that Redis has lost the call."""
    world = calling()
    world.pick_up()
    world.hear_all()
    world.ring(b())
    world.hear_all()
    world.end(b(), 17, 486)
    world.forget()
    world.end(A)
    world.hear_all()
    assert world.record.disposition != "answered", world.record


# --- regressions of the end that tells of an answer: no data is lost in any of these ---


def reserving_after_a_failed_attempt(targets: int = 2) -> World:
    """The attempt was given up for a fault of ours, and the next one waits for its places."""
    names = [target(f"carrier-{n}") for n in range(1, targets + 1)]
    world = dialling(found=plan(*names), rules=(rule(),))
    world.session = given_up(world.session)
    assert world.session.phase is Phase.RESERVING
    return world


def test_the_heard_answer_of_a_given_up_attempt_makes_no_answered_call():
    """As test_an_attempt_that_was_given_up_begins_no_talk_by_its_answer, with its answer heard."""
    world = reserving_after_a_failed_attempt()
    world.told.clear()
    world.answer(b(1))
    for event in world.told:
        world.decide(event)
    world.told.clear()
    assert world.session.phase is Phase.RESERVING
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "cancelled"
    assert world.record.answered_ms is None
    assert world.empty


def test_the_late_end_of_a_former_attempt_does_not_end_the_hunt():
    """Two attempts were given up, the answer of the second crosses with its end; then the end of
    the first is heard, late. The third trunk is still to be called."""
    world = reserving_after_a_failed_attempt(3)
    world.do(Hangup)
    late = list(world.told)
    world.told.clear()
    world.work()
    assert world.session.leg.number == 2
    world.hear_all()
    assert world.session.phase is Phase.DIALLING
    world.session = given_up(world.session)
    assert world.session.phase is Phase.RESERVING
    world.told.clear()
    world.decide(ChannelAnswered(b(2), world.now_ms))
    for event in late:
        world.session = table.decide(world.session, event)
    assert world.session.phase is not Phase.TALKING
    world.work()
    world.hear_all()
    assert world.session.leg.trunk == "carrier-3"


# --- a look, or a comparison, while nobody heard of the whole talk ---


@pytest.mark.parametrize("ends", ["bye", "vanishes"])
def test_a_talk_that_began_and_ended_unheard_is_recorded_and_nobody_else_is_called(ends):
    """The listener dies; B answers and hangs up before another listens. The caller, who was
    answered, is still there."""
    world = dialling(found=plan(target(), target("carrier-b")))
    world.answer(b(1))
    world.now_ms += 800
    world.end(b(1), silently=ends == "vanishes")
    world.told.clear()
    world.heard = Heard()
    assert world.channels == {A: "Up"}
    compare(world)
    world.hear_all()
    assert world.dialled == [b(1)]
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "answered"


# --- Redis goes back to before the places were taken ---


@pytest.mark.parametrize("refused", ["limit", "no answer of the limits"])
def test_a_talk_that_redis_forgot_is_not_cut_by_a_limit(refused):
    """Redis goes back by a second, and others take the place: the caller who talks is hung up."""
    world = talking()
    world.go_back(Phase.RESERVING)
    if refused == "limit":
        world.answers = [LimitRefused(0, "account acme: 3 concurrent")]
    else:
        world.broken = {Reserve: "the limits Redis does not answer"}
    compare(world)
    world.work()
    world.hear_all()
    assert world.channels.get(A) == "Up", world.session
    assert world.session.phase is Phase.TALKING


def test_a_talk_that_redis_forgot_keeps_its_trunk():
    """Redis goes back to before the route; now another trunk is the first."""
    world = talking()
    world.go_back(Phase.ROUTING)
    world.found = plan(target("carrier-b"), target())
    compare(world)
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "answered"
    assert world.record.trunk == "carrier-a"


def test_no_second_phone_rings_beside_a_talk_of_a_forgotten_attempt():
    """Redis goes back to the first attempt's set-up while the second one's talk goes on. The
    comparison sees B 2 up and says nothing, as no session knows it."""
    world, first = talking_in_the_second_attempt()
    world.session = first[Phase.SETUP]
    world.saved = b""
    world.now_ms += 1_000
    world.work(world.session.pending)
    world.hear_all()
    world.ring(b(1))
    world.hear_all()
    compare(world)
    assert world.session.phase is Phase.TALKING, world.session
    assert b(1) not in world.channels


def test_a_talk_of_a_forgotten_attempt_is_not_cut_by_the_ringing_of_the_first_one():
    """The same, and the listener was started again: after 30 s the live talk is hung up."""
    world, first = talking_in_the_second_attempt()
    world.session = first[Phase.SETUP]
    world.heard = Heard()
    world.now_ms += 1_000
    world.work(world.session.pending)
    world.hear_all()
    world.ring(b(1))
    world.hear_all()
    compare(world)
    world.now_ms += 30_000
    world.end(b(1), soft=True)
    world.hear_all()
    assert world.channels.get(A) == "Up", world.session
    assert world.channels.get(b(2)) == "Up"


UNANSWERED = [Phase.ROUTING, Phase.RESERVING, Phase.SETUP, Phase.DIALLING]


@pytest.mark.parametrize("phase", UNANSWERED)
def test_a_call_that_is_behind_catches_up_and_goes_on_with_all_that_is_known_of_it(phase):
    world, first = talking_in_the_second_attempt()
    answered_ms, account = world.session.answered_ms, world.session.account
    world.session = first[phase]
    compare(world)
    assert world.session.phase is Phase.TALKING
    assert world.channels == {A: "Up", b(2): "Up"}

    world.end(A)
    world.hear_all()
    record = world.record
    assert (record.disposition, record.answered_ms) == ("answered", answered_ms)
    assert (record.trunk, record.account, record.integrity) == ("carrier-b", account, "recovered")
    assert world.empty


@pytest.mark.parametrize("phase", UNANSWERED)
def test_a_call_that_is_behind_and_whose_caller_has_left_ends(phase):
    world, first = talking_in_the_second_attempt()
    world.session = first[phase]
    del world.channels[A]
    compare(world)
    world.hear_all()

    assert (world.record.disposition, world.record.trunk) == ("answered", "carrier-b")
    assert world.empty


@pytest.mark.parametrize("is_caller_there", [True, False])
def test_an_ordered_call_that_is_behind_catches_up(is_caller_there):
    world, _ = ordered_talk_that_is_forgotten()
    if not is_caller_there:
        del world.channels[A]
    compare(world)
    world.hear_all()
    assert (world.session.phase is Phase.TALKING) is is_caller_there

    world.end(A)
    world.hear_all()
    assert world.record.disposition == "answered"
    assert world.empty


@pytest.mark.parametrize("phase", UNANSWERED)
def test_a_call_that_knows_its_attempt_hears_nothing_new_of_it(phase):
    world = talking()
    session = world.copies[phase]
    if not session.legs:
        world.channels.pop(b())
    found = world.as_found()

    assert table.decide(session, found) == session


def test_an_attempt_that_was_dialled_again_meanwhile_is_ended():
    world, first = talking_in_the_second_attempt()
    world.session = first[Phase.SETUP]
    found = world.as_found(world.heard.answered_ms(A))
    world.work(world.session.pending)
    world.hear_all()
    world.ring(b(1))
    world.hear_all()
    assert world.channels[b(1)] == "Ringing"
    world.hear(found)
    world.hear_all()

    assert world.channels == {A: "Up", b(2): "Up"}
    assert world.session.phase is Phase.TALKING
