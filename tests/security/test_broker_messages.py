"""Whoever reaches the broker can write any message; none may cost a worker more than a line."""

import json
import threading

import pytest
from celery import current_app
from kombu import Producer

from calls.engine import runtime as runtime_module
from calls.engine import tasks
from calls.engine.nudges import ATTEND
from tests.engine.test_worker_processes import (
    PATIENCE_S,
    SlowEngine,
    all_done,
    let_go,
    runtime,  # noqa: F401 - a fixture
)
from tests.lab.ports import LOOPBACK
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for
from tests.machine.world import CALL
from tests.security.inputs import hostile

MESSAGES = hostile("broker_messages")


@pytest.fixture
def few_slots(monkeypatch, request, redis_url, clean_redis):
    """A worker's runtime with two slots, and an engine that only counts."""
    monkeypatch.setattr(runtime_module, "IN_FLIGHT", 2)
    running = request.getfixturevalue("runtime")
    monkeypatch.setattr(runtime_module, "_runtime", running)
    running._engine = SlowEngine()
    let_go(running, running._engine)
    return running


def deliver(message):
    """What Celery does with a message's arguments; those of another shape it refuses itself."""
    arguments = message if isinstance(message, list) else [message]
    try:
        tasks.attend(*arguments)
    except TypeError as error:
        assert "positional argument" in str(error)  # noqa: PT017 - most messages raise nothing


def test_no_message_takes_a_slot_for_good(few_slots):
    """More of each than there are slots, as an attacker would send them."""
    sender = threading.Thread(
        target=lambda: [deliver(message) for message in MESSAGES for _ in range(3)], daemon=True
    )
    sender.start()
    sender.join(PATIENCE_S)
    assert not sender.is_alive(), "the worker takes no more messages"
    all_done(few_slots)

    turns = few_slots._engine.turns
    tasks.attend([CALL])
    few_slots._engine.wait_for_turn()
    all_done(few_slots)
    assert few_slots._engine.turns == turns + 1


def test_what_names_no_call_begins_no_turn(few_slots):
    for message in MESSAGES:
        deliver(message)
        all_done(few_slots)

    assert few_slots._engine.calls_seen <= {
        call
        for message in MESSAGES
        if isinstance(message, list) and message and isinstance(message[0], list)
        for call in message[0]
        if isinstance(call, str) and call.startswith(("demo:", "ringmaster:", "EVAL:"))
    }


def test_a_real_worker_goes_on_after_all_of_them(redis_url, clean_redis, tmp_path):
    """Written as a stranger would, with Celery's headers and any arguments."""
    # Calls of a node that a worker does not know are left to others.
    node = f"{CALL.partition(':')[0]}=http://ringmaster:password@{LOOPBACK}:9"
    settings = {"DATABASE_URL": "sqlite://:memory:", "ARI_NODES": node}
    with Stack(tmp_path, settings, only=["calls"]) as stack:
        stack.wait_ready()
        with current_app.connection_for_write(redis_url) as connection:
            producer = Producer(connection, serializer="json")
            for message in MESSAGES:
                body = (message, {}, {"callbacks": None, "errbacks": None})
                headers = {"lang": "py", "task": ATTEND, "id": json.dumps(message)[:40]}
                producer.publish(body, routing_key="calls", headers=headers, delivery_mode=1)
        # A mailbox without a call is emptied by the worker that is told of it.
        clean_redis.rpush(f"ringmaster:mail:{CALL}", '["doubted",1]')
        with current_app.connection_for_write(redis_url) as connection:
            Producer(connection, serializer="json").publish(
                ([[CALL]], {}, {}),
                routing_key="calls",
                headers={"lang": "py", "task": ATTEND, "id": "1"},
            )
        wait_for(
            lambda: not clean_redis.exists(f"ringmaster:mail:{CALL}"),
            timeout_s=PATIENCE_S,
            failure=lambda: stack.log("calls")[-3000:],
        )
        assert stack.running("calls")
