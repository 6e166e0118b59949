"""Redis went back to before the answer, or nobody heard it: the end still tells of the talk."""

from dataclasses import dataclass, field, replace

import pytest

from ari_bridge.heard import Heard
from calls.machine.attempts import attempt_failed
from calls.machine.beginning import begin
from calls.machine.events import ChannelAnswered, HangupRequested, decode, encode
from calls.machine.session import Phase, Session
from tests.machine.world import A, World, b, calling, dialling, entered, plan, rule, target

TALK_MS = 2_500


@dataclass
class Copied(World):
    """A world of whose session there are copies from when it came into each phase."""

    copies: dict[Phase, Session] = field(default_factory=dict)

    def save(self):
        super().save()
        self._copy()

    def decide(self, event):
        super().decide(event)
        self._copy()

    def hear(self, event):
        super().hear(event)
        self._copy()

    def _copy(self):
        if self.session is not None:
            self.copies.setdefault(self.session.phase, self.session)

    def go_back(self, phase: Phase) -> None:
        """Redis holds what it held then, and nobody hears again what it heard since."""
        self.told.clear()
        self.session = self.copies[phase]
        self.now_ms += TALK_MS


def talking(**changes) -> Copied:
    world = Copied(**({"rules": (rule(),)} | changes))
    world.hear(entered())
    world.copies.setdefault(Phase.ROUTING, just_begun(world))
    world.hear_all()
    world.answer(b())
    world.hear_all()
    assert world.session.phase is Phase.TALKING
    return world


def just_begun(world: World) -> Session:
    """The call as it was when it had just begun."""
    return begin(world.session.call_id, entered())


def ordered_talk_that_is_forgotten() -> tuple[World, int]:
    """They talk, and their session says that the phone is being called; when B answered."""
    world = calling()
    copy = world.session
    world.pick_up()
    world.hear_all()
    world.answer(b())
    world.hear_all()
    assert world.session.phase is Phase.TALKING
    answered_ms = world.session.answered_ms
    world.told.clear()
    world.session = copy
    return world, answered_ms


BEFORE = [Phase.ROUTING, Phase.RESERVING, Phase.SETUP, Phase.DIALLING]


@pytest.mark.parametrize("phase", BEFORE)
@pytest.mark.parametrize("who", ["caller", "callee"])
def test_the_record_tells_of_the_talk_and_who_ended_it(phase, who):
    world = talking()
    answered_ms = world.session.answered_ms
    world.go_back(phase)
    world.end(A if who == "caller" else b())
    world.hear_all()

    record = world.record
    assert (record.disposition, record.ended_by) == ("answered", who)
    assert record.answered_ms == answered_ms
    assert record.ended_ms - answered_ms >= TALK_MS
    assert record.integrity == "recovered"
    assert world.empty


@pytest.mark.parametrize("phase", BEFORE)
@pytest.mark.parametrize("channel", [A, b()], ids=["caller", "callee"])
@pytest.mark.parametrize("which", [0, 1, 2], ids=["hangup", "left", "destroyed"])
def test_whatever_sign_of_an_end_comes_first_tells_of_it(which, channel, phase):
    world = talking()
    world.go_back(phase)
    world.end(channel)
    world.hear(world.told.pop(which))
    world.hear_all()

    assert world.record.disposition == "answered"
    assert world.empty


@pytest.mark.parametrize("phase", BEFORE)
@pytest.mark.parametrize("who", [A, b()], ids=["caller", "callee"])
def test_where_no_listener_remembers_the_answer_asterisk_tells_that_there_was_one(phase, who):
    world = talking()
    world.heard = Heard()
    world.go_back(phase)
    world.end(who)
    world.hear_all()

    record = world.record
    assert (record.disposition, record.integrity) == ("answered", "recovered")
    assert record.answered_ms == record.ended_ms
    assert world.empty


def test_a_caller_whom_the_dialplan_had_answered_is_no_sign_of_an_answer():
    world = Copied(channels={A: "Up"})
    world.hear(entered(up=True))
    world.hear_all()
    world.end(A)
    world.hear_all()

    assert world.record.disposition == "cancelled"
    assert world.empty


@pytest.mark.parametrize("phase", [Phase.SETUP, Phase.DIALLING])
@pytest.mark.parametrize("channel", [A, b(2)], ids=["caller", "callee"])
@pytest.mark.parametrize("which", [0, 1, 2], ids=["hangup", "left", "destroyed"])
def test_an_attempt_that_is_not_remembered_is_the_one_that_talked(which, channel, phase):
    world = Copied(found=plan(target(), target("carrier-b")))
    world.hear(entered())
    world.hear_all()
    first = dict(world.copies)
    world.end(b(1), 34, 503)
    world.hear_all()
    world.answer(b(2))
    world.hear_all()
    answered_ms = world.session.answered_ms
    world.copies = first
    world.go_back(phase)
    world.end(channel)
    world.hear(world.told.pop(which))
    world.hear_all()

    record = world.record
    assert (record.disposition, record.answered_ms) == ("answered", answered_ms)
    assert [attempt.number for attempt in record.attempts] == [1, 2]
    assert world.empty


def test_an_attempt_that_was_given_up_begins_no_talk_by_its_answer():
    world = dialling(found=plan(target(), target("carrier-b")))
    world.channels[b(1)] = "Up"
    world.heard.note(ChannelAnswered(b(1), world.now_ms))
    world.session = given_up(world.session)
    world.end(A)
    world.hear_all()

    assert world.record.disposition == "cancelled"
    assert world.empty


def given_up(session: Session) -> Session:
    """The call with its attempt given up for a fault of ours."""
    return attempt_failed(session, session.wake_ms, "the set-up came to nothing")


def test_an_attempt_that_no_call_can_have_made_is_not_believed():
    world = dialling()
    world.hear(HangupRequested(A, world.now_ms, answered_leg=1_000_000, answered_ms=1))
    world.end(A)
    world.hear_all()

    assert world.record.disposition == "cancelled"
    assert len(world.record.attempts) == 1


@pytest.mark.parametrize("channel", [A, b()], ids=["phone", "callee"])
@pytest.mark.parametrize("which", [0, 1, 2], ids=["hangup", "left", "destroyed"])
def test_a_phone_that_was_called_for_an_order_has_its_talk_recorded(which, channel):
    world, answered_ms = ordered_talk_that_is_forgotten()
    world.end(channel)
    world.hear(world.told.pop(which))
    world.hear_all()

    assert (world.record.disposition, world.record.answered_ms) == ("answered", answered_ms)
    assert world.empty


def test_what_an_end_tells_of_the_answer_lies_in_the_mailbox_only_where_it_tells_something():
    plain = HangupRequested(A, 5, 16)
    telling = replace(plain, answered_leg=2, answered_ms=4)

    assert encode(plain) == b'["hangup","1763900000.1",5,16,false]'
    assert encode(telling) == b'["hangup","1763900000.1",5,16,false,2,4]'
    assert decode(encode(plain)) == plain
    assert decode(encode(telling)) == telling
