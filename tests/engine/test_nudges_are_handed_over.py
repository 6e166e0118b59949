"""A worker takes a nudge without Celery's request, pool and trace, and outlives any message."""

from types import SimpleNamespace

import pytest

from calls.engine import runtime, strategy
from calls.engine.tap import Tap
from calls.engine.tasks import attend


class Message:
    """As kombu hands one over."""

    def __init__(self, payload):
        self.payload = payload
        self.body = str(payload)


class Submitted(list):
    """In the runtime's place: remembers what it was given."""

    def submit(self, calls):
        self.extend(calls)


@pytest.fixture
def submitted(monkeypatch):
    found = Submitted()
    monkeypatch.setattr(runtime, "current", lambda: found)
    return found


@pytest.fixture
def take(monkeypatch):
    """Takes a message; gives what it was acknowledged with."""
    monkeypatch.setattr(strategy, "tap", Tap())
    consumer = SimpleNamespace(connection_errors=(OSError,))
    handle = attend.start_strategy(attend.app, consumer)
    acks = []

    def take(payload):
        handle(Message(payload), None, lambda *how: acks.append(how), None, ())
        return acks

    return take


def test_the_calls_go_to_the_engines_loop_and_the_message_is_acknowledged(take, submitted):
    ((_, errors),) = take([[["lab:1.1", "lab:2.1"]], {}, {}])

    assert submitted == ["lab:1.1", "lab:2.1"]
    assert errors == (OSError,), "or a broken connection at the ack would end the worker"


@pytest.mark.parametrize("payload", [None, 7, {}, [], [[]], [7], [[1, 2, 3]]])
def test_a_message_that_is_no_nudge_is_logged_acknowledged_and_does_no_harm(
    take, submitted, payload, caplog
):
    assert len(take(payload)) == 1
    assert submitted == []
    assert caplog.text


def test_a_fault_in_the_engine_does_not_end_the_consumer(take, monkeypatch, caplog):
    monkeypatch.setattr(runtime, "_runtime", None)

    assert len(take([[["lab:1.1"]], {}, {}])) == 1
    assert "A nudge could not be taken" in caplog.text
