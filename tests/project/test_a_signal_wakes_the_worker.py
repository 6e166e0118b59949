"""A worker's main loop sleeps until there is something to do, and a signal is something."""

import signal
from types import SimpleNamespace

import pytest
from kombu.asynchronous import Hub

from project.signals import HearsSignals


@pytest.fixture
def consumer():
    found = SimpleNamespace(hub=Hub())
    yield found
    found.hub.close()


@pytest.fixture
def step(consumer):
    found = HearsSignals(consumer)
    found.start(consumer)
    yield found
    found.stop(consumer)


@pytest.mark.usefixtures("step")
def test_the_loop_has_a_socket_to_wait_for(consumer):
    assert consumer.hub.readers


@pytest.mark.usefixtures("step")
def test_a_signal_ends_its_sleep_once(consumer):
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(None))
    try:
        signal.raise_signal(signal.SIGUSR1)
        waiting = consumer.hub.poller.poll(0)
        next(consumer.hub.create_loop())
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert heard
    assert [fd for fd, _ in waiting] == list(consumer.hub.readers)
    assert not consumer.hub.poller.poll(0)


def test_after_it_no_signal_writes_anywhere(consumer):
    step = HearsSignals(consumer)
    step.start(consumer)
    step.stop(consumer)

    assert not consumer.hub.readers
    assert signal.set_wakeup_fd(-1) == -1
