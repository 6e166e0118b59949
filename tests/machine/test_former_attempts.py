"""An attempt that was given up is ended until it is gone, and what it still does is void."""

import pytest
from msgspec.structs import replace

from calls.machine.commands import AddToBridge, Answer, Dial, Hangup, LookUp, Release
from calls.machine.events import CommandFailed, Doubted
from calls.machine.session import Phase
from calls.machine.table import SIGNS_OF_LIFE
from tests.machine.world import A, World, b, entered, plan, rule, target

BOTH = plan(target("carrier-a"), target("carrier-b"))


def rings_on(phase=Phase.DIALLING, **changes):
    """A call whose first B leg was given up and could not be ended; the second attempt goes on."""
    world = World(found=BOTH, **changes)
    # What came of the first dial is not known; a look shows B not dialled, and it is given up.
    world.broken = {Dial: CommandFailed(0, Dial("", 0), "no answer came", unknown=True)}
    world.hear(entered())
    world.broken = {Hangup: "500 it could not be ended"}
    world.doubt()
    world.hear_all()
    if phase is Phase.TALKING:
        world.answer(b(2))
        world.hear_all()
    assert world.session.phase is phase
    assert world.channels[b(1)] == "Down"
    assert not world.session.legs[0].gone
    world.done.clear()
    return world


@pytest.mark.parametrize("phase", [Phase.DIALLING, Phase.TALKING])
def test_a_leg_that_could_not_be_ended_is_ended_again_within_a_second(phase):
    world = rings_on(phase)
    began_ms = world.now_ms
    world.broken = {}
    world.doubt()
    world.hear_all()

    assert world.now_ms <= began_ms + 1_100
    assert Hangup(b(1), 16) in world.done
    assert b(1) not in world.channels
    assert world.session.phase is phase
    assert world.session.legs[0].gone


@pytest.mark.parametrize("phase", [Phase.DIALLING, Phase.TALKING])
def test_it_is_ended_again_and_again_while_that_fails(phase):
    world = rings_on(phase)
    for _ in range(5):
        world.doubt()
        world.hear_all()
    assert world.count(Hangup) >= 5
    world.broken = {}
    world.doubt()
    world.hear_all()

    assert b(1) not in world.channels
    assert world.session.phase is phase


@pytest.mark.parametrize("phase", [Phase.DIALLING, Phase.TALKING])
@pytest.mark.parametrize("sign", ["ring", "progress", "answer"])
def test_a_sign_of_life_ends_it_at_once(phase, sign):
    world = rings_on(phase)
    world.broken = {}
    getattr(world, sign)(b(1))
    world.hear_all()

    assert world.done[0] == Hangup(b(1), 16)
    assert b(1) not in world.channels
    assert world.session.phase is phase


@pytest.mark.parametrize("phase", [Phase.RESERVING, Phase.SETUP, Phase.DIALLING, Phase.TALKING])
@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("kind", SIGNS_OF_LIFE)
def test_every_sign_of_life_is_met_in_every_phase(phase, kind, attempts):
    if phase in (Phase.DIALLING, Phase.TALKING):
        world = rings_on(phase)
    else:
        world = World(found=BOTH, rules=(rule(),) if phase is Phase.RESERVING else None)
        world.broken = {Dial: CommandFailed(0, Dial("", 0), "no answer came", unknown=True)}
        world.hear(entered())
        world.decide(Doubted(world.session.wake_ms))
        world.do(LookUp)
        world.session = replace(
            world.session,
            pending=tuple(each for each in world.session.pending if each != Hangup(b(1), 16)),
        )
    if phase is Phase.RESERVING and attempts == 2:
        (leg,) = world.session.legs
        legs = (leg, replace(leg, number=2, channel_id=b(2), gone=True))
        world.session = replace(world.session, legs=legs)
    assert world.session.phase is phase
    world.decide(kind(b(1), world.now_ms))

    assert Hangup(b(1), 16) in world.session.pending
    assert world.session.phase is phase
    assert world.session.wake_ms <= world.now_ms + 1_000


def test_a_leg_that_is_gone_is_not_looked_for():
    world = World(found=BOTH)
    world.hear(entered())
    world.end(b(1), 34, 503)
    world.hear_all()

    assert world.session.legs[0].gone
    assert world.session.wake_ms > world.now_ms + 30_000


def test_its_answer_begins_no_talk_and_is_not_billed():
    world = rings_on(rules=(rule(),))
    world.answer(b(1))
    world.hear_all()
    world.now_ms += 10_000

    assert world.session.phase is Phase.DIALLING
    assert world.session.answered_ms is None
    assert world.count(Answer) == world.count(AddToBridge) == world.count(Dial) == 0
    world.broken = {}
    world.end(b(2), 17, 486)
    world.hear_all()
    assert (world.record.disposition, world.record.talk_ms) == ("busy", 0)
    assert [each for each in world.done if isinstance(each, Release)] == [Release(0)]
    assert world.empty


def test_the_talk_of_the_call_is_not_the_former_legs():
    world = rings_on()
    world.answer(b(1))
    world.now_ms += 5_000
    world.answer(b(2))
    answered_ms = world.now_ms
    world.hear_all()
    world.broken = {}
    world.now_ms += 7_000
    world.end(A)
    world.hear_all()
    world.doubt()
    world.hear_all()

    assert world.record.answered_ms == answered_ms
    assert world.record.trunk == "carrier-b"
    assert world.empty


# --- A channel that was there before it was created -------------------------------------------


def went_back(**changes):
    """Redis lost a second in which B was created and dialled: it only knows that A has entered."""
    world = World(**changes)
    world.hear(entered())
    before, world.session, world.saved, world.unsaved = world.session, None, b"", []
    world.told.clear()
    assert before.phase is Phase.DIALLING
    return world


@pytest.mark.parametrize("state", ["Ringing", "Up"])
def test_a_channel_that_rings_already_is_not_dialled_again(state):
    world = went_back()
    world.channels[b()] = state
    world.hear(entered())
    world.hear_all()

    assert world.dialled == [b()]
    assert world.session.phase is Phase.DIALLING
    assert [each for each in world.done if isinstance(each, Dial)][-1] == Dial(b(), 30, True)
    world.answer(b())
    world.channels[b()] = "Up"
    world.doubt()
    assert world.session.phase is Phase.TALKING


def test_one_of_which_nobody_knows_is_ended_and_its_trunk_asked_on_another_channel():
    world = went_back()
    world.hear(entered())
    world.hear_all()

    assert world.dialled == [b(1), b(2)]
    assert b(1) not in world.channels
    assert [leg.trunk for leg in world.session.legs] == ["carrier-a", "carrier-a"]
    world.answer(b(2))
    world.hear_all()
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "answered"
    assert [each.outcome for each in world.record.attempts] == ["failed", "dialled"]
    assert "not known whether" in world.record.attempts[0].reason


def test_a_channel_of_ours_whose_answer_was_lost_is_dialled_as_ever():
    """A create that comes twice in one command is no sign of an earlier life."""
    world = World()
    world.hear(entered())

    assert [each for each in world.done if isinstance(each, Dial)] == [Dial(b(), 30)]
