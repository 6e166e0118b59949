"""What the doctor says of a broker that is no Redis. Pure."""

from collections.abc import Iterator

from ari_bridge.doctor.facts import Broker, Finding, Level

ABOUT = "CELERY_BROKER_URL"


def of_broker(broker: Broker) -> Iterator[Finding]:
    """Whether RabbitMQ is reached, by whom, and takes and gives nudges."""
    if not broker.tls and not broker.local:
        yield Finding(
            "broker-tls",
            Level.WARNING,
            ABOUT,
            f"The password of the broker goes to {broker.host} in the clear, and so do the nudges.",
            "Write amqps:// and give RabbitMQ a certificate: docs/operations.md#tls.",
        )
    if broker.error:
        yield Finding(
            "broker-reachable",
            Level.PROBLEM,
            ABOUT,
            f"The broker on {broker.host} does not let us in: {broker.error}.",
            "Look at CELERY_BROKER_URL: address, user, password, virtual host; and whether "
            "RabbitMQ runs. Calls go on meanwhile, each step up to a second late.",
        )
        return
    if broker.other_kind:
        yield Finding(
            "broker-queue",
            Level.PROBLEM,
            ABOUT,
            f"The queue {broker.queue} is there as another kind than the quorum queue that we "
            "declare: no worker can take nudges from it.",
            f"Delete it, nudges are not missed: rabbitmqctl delete_queue --vhost {broker.vhost} "
            f"{broker.queue}.",
        )
    for what in broker.forbidden:
        ours = f"'^({broker.queue}|amq\\.default)$'"
        yield Finding(
            "broker-rights",
            Level.PROBLEM,
            ABOUT,
            f"The user {broker.user} has no {what} there.",
            f"rabbitmqctl set_permissions --vhost {broker.vhost} {broker.user} {ours} {ours} "
            f"{ours}",
        )
    if not broker.other_kind and not broker.forbidden:
        over = ", over TLS" if broker.tls else ""
        yield Finding(
            "broker",
            Level.WELL,
            ABOUT,
            f"RabbitMQ {broker.version} answers, takes nudges and gives them out{over}.",
        )
