"""What the doctor finds at a real RabbitMQ: whether it is reached, its rights, its queue, TLS."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from kombu import Connection

from ari_bridge.doctor import around
from ari_bridge.doctor.broker import of_broker
from ari_bridge.doctor.facts import Level
from project import tls
from tests.lab.certificates import Certificates, make
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.ports import LOOPBACK
from tests.lab.rabbitmq import RabbitMQ

ALL = ".*"
OURS = r"^(calls|amq\.default)$"
"""As the doctor's own fix says it."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("broker") / "pki", LOOPBACK, "localhost")


@pytest.fixture(scope="module")
def rabbitmq(certificates: Certificates) -> Iterator[RabbitMQ]:
    try:
        running = RabbitMQ(certificates)
    except LabError as error:
        cannot_be_had(error)
    with running:
        yield running


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch):
    """What the doctor says where the broker is this one: levels and sentences."""

    def told(url: str, ca: str = "") -> list[tuple[Level, str]]:
        monkeypatch.setattr(settings, "CELERY_BROKER_URL", url)
        monkeypatch.setattr(settings, "CELERY_BROKER_USE_SSL", tls.amqp_options(url, ca))
        broker = around.broker()
        assert broker is not None
        return [(each.level, each.sentence) for each in of_broker(broker)]

    return told


def test_where_a_redis_carries_the_nudges_there_is_nothing_to_say() -> None:
    assert settings.CELERY_BROKER_URL.startswith("redis")
    assert around.broker() is None


def test_one_that_answers_and_may_be_used_is_well_in_the_clear_and_by_tls(
    rabbitmq, certificates, told
):
    (plain,) = told(rabbitmq.url)
    assert plain[0] is Level.WELL
    assert plain[1].endswith("answers, takes nudges and gives them out.")

    assert told(rabbitmq.url_by_tls, certificates.ca)[0][1].endswith("gives them out, over TLS.")
    ((level, sentence),) = told(rabbitmq.url_by_tls)
    assert level is Level.PROBLEM
    assert "certificate verify failed" in sentence


def test_a_nudge_that_waits_is_there_afterwards(rabbitmq, told):
    told(rabbitmq.url)
    with Connection(rabbitmq.url) as connection:
        channel = connection.default_channel
        channel.queue_purge("calls")
        with connection.Producer() as producer:
            producer.publish({"call": "demo:1"}, routing_key="calls", delivery_mode=2)
        assert told(rabbitmq.url)[0][0] is Level.WELL
        assert channel.basic_get("calls", no_ack=True) is not None


def test_a_wrong_password_and_one_that_is_not_there_are_told_without_the_password(rabbitmq, told):
    right = rabbitmq.url.partition("ringmaster:")[2].partition("@")[0]
    for url in (rabbitmq.url.replace(right, "not-it-at-all"), f"amqp://u:{right}@{LOOPBACK}:1//"):
        ((level, sentence),) = told(url)
        assert level is Level.PROBLEM
        assert "does not let us in" in sentence
        assert right not in sentence
        assert "not-it-at-all" not in sentence


@pytest.mark.parametrize(
    ("rights", "wrong"),
    [
        ((OURS, OURS, OURS), []),
        (("^$", ALL, ALL), ["access to exchange 'calls' (Exchange.declare)"]),
        ((ALL, "^calls$", ALL), ["access to exchange 'amq.default' (Basic.publish)"]),
        (
            (ALL, ALL, "^$"),
            ["access to exchange 'calls' (Queue.bind)", "queue 'calls' (Basic.get)"],
        ),
    ],
)
def test_a_right_that_is_missing_is_named(rabbitmq, told, rights, wrong):
    rabbitmq.permit(*rights)
    try:
        found = told(rabbitmq.url)
    finally:
        rabbitmq.permit(ALL, ALL, ALL)

    problems = [sentence for level, sentence in found if level is Level.PROBLEM]
    assert bool(problems) == bool(wrong)
    for words in wrong:
        assert any(words in sentence for sentence in problems), problems


def test_a_queue_of_another_kind_is_told(rabbitmq, told):
    with Connection(rabbitmq.url) as connection:
        channel = connection.default_channel
        channel.queue_delete("calls")
        # These settings, whose broker is a Redis, declare no quorum queue: the other way round.
        kind = {"x-queue-type": "quorum"}
        channel.queue_declare("calls", durable=True, auto_delete=False, arguments=kind)
        try:
            ((level, sentence),) = told(rabbitmq.url)
        finally:
            channel.queue_delete("calls")

    assert level is Level.PROBLEM
    assert "as another kind than the quorum queue" in sentence
