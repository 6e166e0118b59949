"""A look at a call that Redis remembers from before the attempt that talks."""

from calls.machine.commands import Hangup
from calls.machine.events import Doubted
from calls.machine.session import Phase, from_json, to_json
from tests.machine.world import A, World, b, dialling, plan, target


def _talks_in_the_second_attempt() -> tuple[World, bytes]:
    world = dialling(found=plan(target("carrier-a"), target("carrier-b")))
    assert world.session is not None
    before = to_json(world.session)
    world.end(b(1), 34, 503)
    world.hear_all()
    world.answer(b(2))
    world.hear_all()
    assert world.session.phase is Phase.TALKING
    return world, before


def test_a_look_ends_no_talk_of_an_attempt_that_redis_has_forgotten() -> None:
    world, before = _talks_in_the_second_attempt()
    world.session = from_json(before)
    done = len(world.done)
    world.hear(Doubted(world.now_ms + 100))
    world.hear_all()
    ended = [c.channel_id for c in world.done[done:] if isinstance(c, Hangup)]
    assert ended == []
    assert world.channels == {A: "Up", b(2): "Up"}
