"""What goes wrong: each fault is done to a field under load, and undone as a supervisor would.

A fault returns when the service was to be had again, by the clock of `time.time`: at once where
another process stands in, else when what had failed was back. From then on recovery is counted.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from tests.lab.chaos.clocks import HOLD_S, SteppedClock
from tests.lab.chaos.field import Field
from tests.lab.errors import LabError
from tests.lab.stack import Stack

FREEZE_S = 10.0
DATABASE_S = 30.0
SILENT_S = 8.0
"""More than websocket_write_timeout, so that Asterisk has given the session up."""


@dataclass(frozen=True)
class Fault:
    """One row of the table. ``strikes``: how often in one load, ``each_s``: how long one takes."""

    name: str
    title: str
    strike: Callable[[Field], float]
    each_s: float = 4.0
    strikes: int = 3
    cuts: bool = False
    """Whether Asterisk itself dies, so that live calls must be cut and callers go unanswered."""
    refuses: bool = False
    """Whether callers may be refused: nobody is there to take them for longer than they wait."""
    prepared: Callable[[Field], AbstractContextManager[None]] = lambda _: nullcontext()
    """What must be otherwise than usual before the load, and is put right after it."""


def _kill(stack: Stack, name: str) -> float:
    struck = time.time()
    stack.kill(name)
    stack.restart(name)
    return struck


def _end(stack: Stack, name: str) -> float:
    struck = time.time()
    stack.restart(name)
    return struck


def _freeze(stack: Stack, name: str) -> float:
    struck = time.time()
    stack.send(name, signal.SIGSTOP)
    time.sleep(FREEZE_S)
    stack.send(name, signal.SIGCONT)
    return struck


def _listening(field: Field) -> Stack:
    found = field.listening
    if found is None:
        raise LabError("No bridge listens.")
    return found


def _standing_by(field: Field) -> Stack:
    found = field.standing_by
    if found is None:
        raise LabError("No bridge stands by.")
    return found


def _only_listener(field: Field, end: Callable[[Stack, str], float]) -> float:
    """The other is away, so the dialplan alone helps the callers over the restart."""
    _standing_by(field).kill("bridge", signal.SIGTERM)
    time.sleep(0.5)
    last = next(each for each in field.bridges if each.running("bridge"))
    return end(last, "bridge")


def _workers(field: Field) -> float:
    for stack in field.workers:
        stack.kill("calls")
    for stack in field.workers:
        stack.restart("calls")
    for stack in field.workers:
        stack.wait_one_ready("calls")
    return time.time()


def _redis_killed(field: Field) -> float:
    field.server.kill()
    field.server.start()
    return time.time()


def _redis_frozen(field: Field) -> float:
    os.kill(field.server.pid, signal.SIGSTOP)
    time.sleep(FREEZE_S / 2)
    os.kill(field.server.pid, signal.SIGCONT)
    return time.time()


def _redis_emptied(field: Field) -> float:
    struck = time.time()
    field.redis.flushall()
    return struck


def _redis_back(field: Field) -> float:
    field.back_by_a_second()
    return time.time()


def _database_stopped(field: Field) -> float:
    struck = time.time()
    field.database.stop()
    time.sleep(DATABASE_S)
    field.database.start()
    return struck


def _database_hangs(field: Field) -> float:
    struck = time.time()
    field.database.freeze(frozen=True)
    time.sleep(DATABASE_S)
    field.database.freeze(frozen=False)
    return struck


def _cut(field: Field) -> float:
    struck = time.time()
    field.wire.cut()
    return struck


def _silent(field: Field) -> float:
    field.wire.fall_silent()
    time.sleep(SILENT_S)
    return time.time()


def _asterisk(field: Field, end: Callable[[], None]) -> float:
    end()
    field.asterisk.start()
    return time.time()


def _everything(field: Field) -> float:
    field.server.kill()
    for stack in field.stacks:
        for name in stack.names:
            stack.kill(name)
    field.server.start()
    for stack in field.stacks:
        for name in stack.names:
            stack.restart(name)
    for stack in field.workers:
        stack.wait_one_ready("calls")
    return time.time()


@contextmanager
def _own_clock(field: Field, stack: Stack, name: str) -> Iterator[None]:
    """This process has a clock of its own, ``field.clock``, until the row is over."""
    field.clock = SteppedClock()
    with stack.overlaid(field.clock.environment):
        stack.restart(name)
        field.restore()
        yield
    stack.restart(name)
    field.restore()


@contextmanager
def _listener_own_clock(field: Field) -> Iterator[None]:
    with _own_clock(field, _standing_by(field), "bridge"):
        # Whoever listens hands over to the one that stands by.
        _listening(field).restart("bridge")
        field.restore()
        yield


@contextmanager
def redis_own_clock(field: Field) -> Iterator[None]:
    """Redis has a clock of its own, ``field.clock``, until the row is over."""
    field.clock = SteppedClock()
    for environment in (field.clock.environment_of_redis, {}):
        field.server.kill()
        field.server.environment = environment
        field.server.start()
        field.restore()
        if environment:
            yield


def _steps(field: Field) -> float:
    assert field.clock is not None
    return field.clock.forth_and_back()


FAULTS = (
    Fault("listener-kill", "kill -9 of the listener, another stands by",
          lambda field: _kill(_listening(field), "bridge")),
    Fault("listener-term", "SIGTERM of the listener, another stands by",
          lambda field: _end(_listening(field), "bridge")),
    Fault("listener-stop", "SIGSTOP 10 s of the listener, another stands by",
          lambda field: _freeze(_listening(field), "bridge"), each_s=13, strikes=2),
    Fault("standby-kill", "kill -9 of the bridge that stands by",
          lambda field: _kill(_standing_by(field), "bridge")),
    Fault("only-listener-kill", "kill -9 of the only bridge",
          lambda field: _only_listener(field, _kill), each_s=6, strikes=2, refuses=True),
    Fault("only-listener-term", "SIGTERM of the only bridge",
          lambda field: _only_listener(field, _end), each_s=6, strikes=2, refuses=True),
    Fault("worker-kill", "kill -9 of one of two calls workers",
          lambda field: _kill(field.workers[0], "calls"), each_s=6),
    Fault("worker-term", "SIGTERM of one of two calls workers",
          lambda field: _end(field.workers[0], "calls"), each_s=6),
    Fault("worker-stop", "SIGSTOP 10 s of one of two calls workers",
          lambda field: _freeze(field.workers[0], "calls"), each_s=14, strikes=2),
    Fault("workers-kill", "kill -9 of both calls workers", _workers, each_s=8, strikes=2),
    Fault("records-kill", "kill -9 of the records worker",
          lambda field: _kill(field.workers[0], "records")),
    Fault("records-term", "SIGTERM of the records worker",
          lambda field: _end(field.workers[0], "records")),
    Fault("records-stop", "SIGSTOP 10 s of the records worker",
          lambda field: _freeze(field.workers[0], "records"), each_s=12, strikes=2),
    Fault("redis-kill", "kill -9 of Redis", _redis_killed, each_s=5),
    Fault("redis-stop", "SIGSTOP 5 s of Redis", _redis_frozen, each_s=10, strikes=2),
    Fault("redis-flush", "FLUSHALL", _redis_emptied, each_s=4),
    Fault("redis-back", "Redis goes back by a second", _redis_back, each_s=6),
    Fault("database-stop", "PostgreSQL stopped for 30 s", _database_stopped, each_s=32, strikes=1),
    Fault("database-hang", "PostgreSQL hangs for 30 s, connections stand",
          _database_hangs, each_s=32, strikes=1),
    Fault("socket-cut", "the WebSocket is cut", _cut),
    Fault("socket-silent", "a zombie WebSocket: it stands, and nothing comes",
          _silent, each_s=14, strikes=2),
    Fault("asterisk-kill", "kill -9 of Asterisk",
          lambda field: _asterisk(field, field.asterisk.kill), each_s=8, strikes=2,
          cuts=True, refuses=True),
    Fault("asterisk-stop", "Asterisk stopped and started",
          lambda field: _asterisk(field, field.asterisk.stop), each_s=8, strikes=2,
          cuts=True, refuses=True),
    Fault("worker-clock", "the clock of one of two calls workers steps 30 s ahead, then behind",
          _steps, each_s=2 * HOLD_S + 2, strikes=2,
          prepared=lambda field: _own_clock(field, field.workers[0], "calls")),
    Fault("listener-clock", "the clock of the listener steps 30 s ahead, then behind",
          _steps, each_s=2 * HOLD_S + 2, strikes=2,
          prepared=_listener_own_clock),
    Fault("redis-clock", "the clock of Redis steps 30 s ahead, then behind",
          _steps, each_s=2 * HOLD_S + 2, strikes=2, prepared=redis_own_clock),
    Fault("everything", "kill -9 of everything but Asterisk and PostgreSQL at once",
          _everything, each_s=10, strikes=2, refuses=True),
)  # fmt: skip
BY_NAME = {fault.name: fault for fault in FAULTS}
SHORT = ("listener-kill", "worker-kill", "redis-flush")
"""What runs with the tests."""
