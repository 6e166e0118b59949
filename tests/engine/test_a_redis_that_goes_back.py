"""Redis goes back to before the first trunk was dialled; the second one's talk goes on.

A single fault: a machine with Redis that crashes (its file is synced once a second), or a replica
that takes over. The call's turn comes before a comparison does."""

import pytest

from calls.engine import turn
from calls.machine.commands import Dial, Hangup
from calls.machine.session import Phase
from tests.engine.office import Office, phase_of
from tests.machine.world import A, World, b, plan, target


@pytest.fixture(autouse=True)
def _no_linger(monkeypatch):
    monkeypatch.setattr(turn, "LINGER_S", (0.0, 0.0))


@pytest.mark.parametrize("remembers", ["before the dial", "after the dial"])
async def test_the_talk_goes_on(mailboxes, clean_redis, remembers):
    world = World(found=plan(target("carrier-a"), target("carrier-b")))
    office = Office(mailboxes, clean_redis, world)
    copies = {}

    def copy(name):
        copies.setdefault(name, {k: clean_redis.dump(k) for k in clean_redis.scan_iter()})

    async def before(command):
        if isinstance(command, Dial):
            copy("before the dial")

    office.gateway.before = before
    await office.begin()
    copy("after the dial")
    world.end(b(1), 34, 503)
    await office.tell()
    await office.attend()
    world.ring(b(2))
    world.answer(b(2))
    await office.tell()
    await office.attend()
    assert phase_of(office) is Phase.TALKING
    done = len(world.done)

    clean_redis.flushdb()
    for key, value in copies[remembers].items():
        clean_redis.restore(key, 0, value)
    office.expire_lock()
    # Redis was away for ten seconds; a call whose ring timeout is over is looked at, too.
    session = office.session
    world.now_ms += 10_000
    if remembers == "after the dial":
        world.now_ms = max(world.now_ms, session.wake_ms)
    office.engine = office.hire()
    await office.attend()

    assert [c.channel_id for c in world.done[done:] if isinstance(c, Hangup)] == []
    assert world.channels.get(A) == "Up"
    assert world.channels.get(b(2)) == "Up"
