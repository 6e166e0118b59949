"""Real calls, a receiver that fails three times in ten, and a worker that is killed five times.

Each call that Asterisk carried is told: that it began, that it was answered, that it ended; each
under one id, whatever was cut off where.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from calls.models import WebhookEndpoint
from calls.store.outbox import OUTBOX, WANTED
from cdr.models import Cdr
from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for
from tests.webhooks.receiver import Receiver, failing

pytestmark = pytest.mark.alone

CALLS = 150
KILLS = 5
EVENTS = ("call.begun", "call.answered", "call.ended")
PATIENCE_S = 90


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(answer=failing(0.3)) as running:
        yield running


@pytest.fixture
def sender(ringmaster: Ringmaster, receiver: Receiver, tmp_path: Path) -> Iterator[Stack]:
    """The process that brings messages, once the workers know that somebody wants them."""
    endpoint = WebhookEndpoint(name="crm", url=receiver.url, events=" ".join(EVENTS))
    receiver.secret = endpoint.new_secret()
    endpoint.save()
    settings = {
        "WEBHOOK_ALLOW_HTTP": "true",
        "WEBHOOK_ALLOW_PRIVATE": "127.0.0.1",
        "WEBHOOK_RETRY_S": ",".join(["0"] * 50),
    }
    with ringmaster.beside(["webhooks"], settings) as stack:
        stack.wait_ready()
        wanted_is(ringmaster, b" ".join(sorted(each.encode() for each in EVENTS)))
        # A worker looks before its first turn.
        ringmaster.stack.restart("calls")
        ringmaster.stack.wait_one_ready("calls", ringmaster.asterisk)
        yield stack
        endpoint.delete()
        wanted_is(ringmaster, b"")


def wanted_is(ringmaster: Ringmaster, text: bytes) -> None:
    wait_for(
        lambda: ringmaster.redis.get(WANTED) == text,
        timeout_s=PATIENCE_S,
        failure=lambda: f"Wanted is {ringmaster.redis.get(WANTED)!r}.",
    )


def test_each_call_is_told_from_its_begin_to_its_end(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier, sender: Stack, receiver: Receiver
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    running = caller.start("49200", talk_ms=2500, count=CALLS, rate=15)
    for killed in range(1, KILLS + 1):
        wait_for(
            lambda reached=killed * CALLS // (KILLS + 2): len(receiver.taken) >= reached,
            timeout_s=PATIENCE_S,
            failure=lambda: f"{len(receiver.taken)} taken:\n{sender.log('webhooks')[-2000:]}",
        )
        ringmaster.stack.kill("calls")
        ringmaster.stack.restart("calls")
        ringmaster.stack.wait_one_ready("calls", ringmaster.asterisk)
    running.wait(timeout_s=PATIENCE_S)
    cdrs = ringmaster.wait_for_cdrs(CALLS, timeout_s=PATIENCE_S)
    expected = {(event, call) for call in ids(cdrs) for event in ("call.begun", "call.ended")}
    expected |= {("call.answered", call) for call in ids(cdrs, answered=True)}

    wait_for(
        lambda: told(receiver).keys() >= expected,
        timeout_s=PATIENCE_S,
        failure=lambda: f"Not told: {sorted(expected - told(receiver).keys())[:9]}",
    )
    wait_for(
        lambda: not ringmaster.redis.xlen(OUTBOX),
        timeout_s=PATIENCE_S,
        failure=lambda: f"{ringmaster.redis.xlen(OUTBOX)} events wait for nobody",
    )
    assert receiver.wrong == []
    assert told(receiver).keys() == expected
    assert max(Counter(len(of_event) for of_event in told(receiver).values())) == 1
    assert len(ids(cdrs, answered=True)) > CALLS // 2


def ids(cdrs: list[Cdr], *, answered: bool = False) -> set[str]:
    return {cdr.call_id for cdr in cdrs if cdr.answered_at is not None or not answered}


def told(receiver: Receiver) -> dict[tuple[str, str], set[str]]:
    """The ids under which each event of each call was told."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for message_id, messages in list(receiver.taken.items()):
        for message in messages:
            found[message["type"], message["data"]["call_id"]].add(message_id)
    return found
