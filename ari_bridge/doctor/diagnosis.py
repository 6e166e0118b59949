"""All findings over all facts, in the order in which they are told. Pure."""

from ari_bridge.doctor import broker, checks, surroundings
from ari_bridge.doctor.facts import Facts, Finding, Level


def diagnose(facts: Facts) -> list[Finding]:
    """Everything there is to say; what it rests on comes before what rests on it."""
    found: list[Finding] = []
    if not facts.nodes:
        found.append(
            Finding(
                "ari-nodes",
                Level.PROBLEM,
                "",
                "ARI_NODES names no Asterisk.",
                "Set it to name=http://user:password@host:8088, with user and password of "
                "ari.conf.",
            )
        )
    for node in facts.nodes:
        found += checks.of_node(node, facts)
    found += checks.names(facts.nodes)
    for server in facts.redis:
        found += surroundings.of_redis(server)
    if facts.broker is not None:
        found += broker.of_broker(facts.broker)
    if facts.database is not None:
        found += surroundings.of_database(facts.database)
    found += surroundings.of_processes(facts)
    for trunk in facts.trunks or ():
        found += surroundings.of_trunk(trunk, facts.nodes)
    for call in facts.calls:
        found += surroundings.of_call(call)
    return found
