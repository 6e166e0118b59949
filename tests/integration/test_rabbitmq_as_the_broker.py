"""RabbitMQ carries the nudges, over TLS and in quorum queues: whole calls, while it is killed, and
after."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from tests.integration.conftest import Ringmaster
from tests.lab.certificates import Certificates, make
from tests.lab.ports import LOOPBACK
from tests.lab.rabbitmq import RabbitMQ
from tests.lab.sip import Caller, Carrier
from tests.lab.waiting import wait_for


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make(tmp_path / "pki", LOOPBACK, "localhost")


@pytest.fixture
def rabbitmq(certificates: Certificates) -> Iterator[RabbitMQ]:
    with RabbitMQ(certificates) as running:
        yield running


@pytest.fixture
def over_rabbitmq(
    ringmaster: Ringmaster, rabbitmq: RabbitMQ, certificates: Certificates
) -> Iterator[Ringmaster]:
    """Ringmaster, all of whose processes speak to this broker by ``amqps://``."""
    broker = {"CELERY_BROKER_URL": rabbitmq.url_by_tls, "TLS_CA_FILE": certificates.ca}
    with ringmaster.stack.overlaid(broker):
        for name in ringmaster.stack.names:
            ringmaster.stack.restart(name)
        ringmaster.stack.wait_ready(ringmaster.asterisk)
        ringmaster.account()
        ringmaster.route("49", "PJSIP/{number}@carrier-a")
        yield ringmaster
    for name in ringmaster.stack.names:
        ringmaster.stack.restart(name)
    ringmaster.stack.wait_ready(ringmaster.asterisk)


def waiting(rabbitmq: RabbitMQ) -> int:
    """Messages that wait in the workers' queue; raises where it is not there or no quorum queue."""
    with Connection(rabbitmq.url) as connection:
        queue = connection.default_channel.queue_declare(
            "calls", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
        )
        return int(queue.message_count)


def test_calls_go_through_it_go_on_without_it_and_through_it_again(
    over_rabbitmq: Ringmaster, rabbitmq: RabbitMQ, caller: Caller, carrier: Carrier
) -> None:
    running = caller.start("49200", count=20, rate=10, talk_ms=4000)
    running.wait_until_answered(20)
    assert over_rabbitmq.redis.llen("calls") == 0
    wait_for(
        lambda: waiting(rabbitmq) == 0,
        timeout_s=10,
        failure=lambda: f"{waiting(rabbitmq)} nudges wait in RabbitMQ",
    )

    rabbitmq.kill()
    assert caller.call("49201", talk_ms=300).finals == [200]
    assert running.wait().answered == 20
    over_rabbitmq.wait_for_cdrs(21)

    rabbitmq.start()
    assert caller.call("49202", talk_ms=300).finals == [200]
    assert {cdr.disposition for cdr in over_rabbitmq.wait_for_cdrs(22)} == {"answered"}
    over_rabbitmq.assert_nothing_left()
