"""What the doctor says of all that stands around Asterisk: Redis, database, processes, trunks, and
of the trial call. Pure."""

from collections.abc import Iterable, Iterator

from ari_bridge.doctor.checks import CLOCK_S
from ari_bridge.doctor.facts import (
    Database,
    Facts,
    Finding,
    Level,
    Node,
    RedisServer,
    Stage,
    TrialCall,
    Trunk,
)
from calls.store.heartbeats import Process
from cdr.record import Disposition, Integrity

NEEDED = {
    "bridge": ("No ARI bridge runs: new calls are not heard.", "manage.py run_ari_bridge"),
    "calls": ("No calls worker runs: no call is attended to.", "calls"),
    "records": ("No records worker runs: call records wait in Redis.", "records"),
}
LAG_S = 10.0


def of_redis(server: RedisServer) -> Iterator[Finding]:
    """Whether a Redis keeps what it is given."""
    about = ", ".join(server.settings)
    if server.error:
        yield Finding(
            "redis-reachable",
            Level.PROBLEM,
            about,
            f"Redis does not answer: {server.error}.",
            f"Look at {about}: address, user, password; and whether it runs.",
        )
        return
    if server.role != "master":
        yield Finding(
            "redis-role",
            Level.PROBLEM,
            about,
            f"This Redis is a {server.role}: it takes no writes.",
            f"Name the master in {about}.",
        )
    if server.policy != "noeviction":
        yield Finding(
            "redis-policy",
            Level.PROBLEM,
            about,
            f"This Redis drops keys when it is full (maxmemory-policy {server.policy}): it would "
            "forget calls that are up.",
            "Set maxmemory-policy noeviction, as in docs/redis/ringmaster.conf.",
        )
    if server.keeps_calls and not server.appends:
        yield Finding(
            "redis-persistence",
            Level.PROBLEM,
            about,
            "This Redis keeps no append-only file: a restart forgets calls and the records that "
            "wait in it.",
            "Set appendonly yes and appendfsync everysec, as in docs/redis/ringmaster.conf.",
        )
    elif server.keeps_calls and not server.writes:
        yield Finding(
            "redis-persistence",
            Level.PROBLEM,
            about,
            "The last write of this Redis to its disk failed.",
            "Look at its log; is the disk full?",
        )
    if abs(server.clock_off_s) > CLOCK_S:
        yield _clock("redis-clock", about, "The clock of this Redis", server.clock_off_s)
    if server.role == "master" and server.policy == "noeviction":
        keeps = ", keeps what it is given" if server.keeps_calls and server.appends else ""
        yield _well("redis", about, f"Redis {server.version} answers{keeps} and evicts nothing.")


def of_database(database: Database) -> Iterator[Finding]:
    """Whether the database answers, and has the tables of this version."""
    about = "DATABASE_URL"
    if database.error:
        yield Finding(
            "database",
            Level.PROBLEM,
            about,
            f"The database does not answer: {database.error}.",
            "Look at DATABASE_URL: address, user, password, name; and whether it runs.",
        )
        return
    if database.unapplied:
        yield Finding(
            "migrations",
            Level.PROBLEM,
            about,
            f"{len(database.unapplied)} migrations have not been run, the first is "
            f"{database.unapplied[0]}.",
            "Run `manage.py migrate`.",
        )
    elif database.unknown:
        yield Finding(
            "migrations",
            Level.WARNING,
            about,
            f"The database has had {database.unknown[-1]}, which this version does not know: it is "
            "older than the database.",
            "Finish the upgrade, or the way back: docs/upgrading.md.",
        )
    if database.clock_off_s is not None and abs(database.clock_off_s) > CLOCK_S:
        yield _clock("database-clock", about, "The database's clock", database.clock_off_s)
    if not database.ends_statements:
        yield Finding(
            "database-statements",
            Level.WARNING,
            "DATABASE_POOLED",
            "PostgreSQL ends no statement of ours, however long it runs: behind a pooler we cannot "
            "ask for it as we connect.",
            "Say it of the role: ALTER ROLE ringmaster SET statement_timeout = '60s'.",
        )
    if not database.unapplied:
        one = " For more than trying out, take PostgreSQL." if database.vendor == "sqlite" else ""
        yield _well("database", about, f"The database ({database.vendor}) has all tables.{one}")


def of_processes(facts: Facts) -> Iterator[Finding]:
    """Whether every kind of process is alive, and somebody listens to each node."""
    if facts.processes is None:
        return
    kinds = [process.kind for process in facts.processes]
    for kind, (sentence, process) in NEEDED.items():
        if kind not in kinds:
            fix = f"Start `{process}`." if " " in process else f"Start the `{process}` process."
            yield Finding("processes", Level.PROBLEM, kind, sentence, fix)
    told = {
        part for each in facts.processes if each.kind == "bridge" for part in each.note.split(", ")
    }
    if "bridge" in kinds:
        for node in facts.nodes:
            if f"{node.name} listens" not in told:
                yield Finding(
                    "processes",
                    Level.PROBLEM,
                    node.name,
                    f"A bridge runs, and none listens to node {node.name}.",
                    "Its log says why; is the node among its ARI_NODES, and not left out by "
                    "--node?",
                )
    yield from _of_webhooks(facts, kinds)
    if facts.oldest_record_s > LAG_S:
        yield Finding(
            "records-wait",
            Level.PROBLEM,
            "records",
            f"{facts.waiting_records:,} call records wait for the database, the oldest for "
            f"{facts.oldest_record_s:.0f} s.",
            "None is lost. Does the records worker run, and the database answer?",
        )
    if set(NEEDED) <= set(kinds):
        counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in NEEDED)
        yield _well("processes", "", f"Processes alive: {counted}.")


def _of_webhooks(facts: Facts, kinds: list[str]) -> Iterator[Finding]:
    enabled = [name for name, why in facts.webhooks if not why]
    if enabled and "webhooks" not in kinds:
        yield Finding(
            "webhooks",
            Level.PROBLEM,
            "webhooks",
            f"Nobody brings messages to webhooks ({', '.join(enabled[:5])}): they wait.",
            "Start `manage.py run_webhooks`.",
        )
    for name, why in facts.webhooks:
        if why:
            yield Finding(
                "webhooks",
                Level.WARNING,
                name,
                f"Webhook {name} was disabled: {why}",
                "Enable it in the admin once its receiver works.",
            )


def listened_to(processes: Iterable[Process]) -> frozenset[str]:
    """The nodes that a bridge says it listens to."""
    told = (part for each in processes if each.kind == "bridge" for part in each.note.split(", "))
    return frozenset(
        node for node, _, doing in (part.partition(" ") for part in told) if doing == "listens"
    )


def of_trunk(trunk: Trunk, nodes: tuple[Node, ...]) -> Iterator[Finding]:
    """Whether each node can dial a trunk."""
    if not trunk.enabled:
        return
    if trunk.refused:
        yield Finding(
            "trunk-dial-string",
            Level.PROBLEM,
            trunk.name,
            f"The trunk {trunk.name} is skipped: its dial string {trunk.refused}.",
            "Allow it in the settings, or change the dial string.",
        )
        return
    endpoint = endpoint_of(trunk.dial_string)
    if endpoint is None:
        return
    for node in nodes:
        if node.endpoints is not None:
            yield _of_endpoint(trunk, endpoint, node)


def _of_endpoint(trunk: Trunk, endpoint: str, node: Node) -> Finding:
    assert node.endpoints is not None  # noqa: S101 - its only caller has looked
    state = node.endpoints.get(endpoint)
    if state is None:
        return Finding(
            "trunk-endpoint",
            Level.PROBLEM,
            trunk.name,
            f"The trunk {trunk.name} dials {trunk.dial_string}, but node {node.name} has no PJSIP "
            f"endpoint {endpoint}.",
            "Write that endpoint into pjsip.conf there and reload it, or correct the dial string.",
        )
    if state == "offline":
        return Finding(
            "trunk-reachable",
            Level.PROBLEM,
            trunk.name,
            f"The trunk {trunk.name} cannot be reached from node {node.name}: its endpoint "
            f"{endpoint} is offline.",
            "It has no contact, or its contact does not answer OPTIONS: `pjsip show aor "
            f"{endpoint}` on that Asterisk.",
        )
    watched = (
        ", and does not watch it: without qualify_frequency it shows at the dial whether it answers"
        if endpoint in node.unwatched
        else " and answers"
    )
    return _well(
        "trunk",
        trunk.name,
        f"Node {node.name} has the endpoint {endpoint} of {trunk.name}{watched}.",
    )


def endpoint_of(dial_string: str) -> str | None:
    """The PJSIP endpoint that a dial string names; None for one of another technology."""
    technology, _, resource = dial_string.partition("/")
    if technology != "PJSIP":
        return None
    # PJSIP/number@endpoint, PJSIP/endpoint, PJSIP/endpoint/sip:number@host
    first, slash, _ = resource.partition("/")
    return first if slash else resource.rpartition("@")[2]


def of_call(call: TrialCall) -> Iterator[Finding]:
    """Whether the trial call left exactly one record, and nothing else."""
    check, about = "trial-call", call.node
    way = f"through [{call.way}]" if call.way else "straight into the application"
    match call.stage:
        case Stage.NOT_PLACED:
            yield _problem(
                check,
                about,
                f"The trial call could not be placed: {call.error}.",
                "What is wrong with that node stands above.",
            )
        case Stage.NOT_HEARD:
            yield _problem(
                check,
                about,
                f"The trial call {way} was never heard of.",
                "Is a bridge connected to this node as ARI_APP, and does it write to this "
                "REDIS_URL?",
            )
        case Stage.NOT_DECIDED:
            yield _problem(
                check,
                about,
                f"The trial call {way} was heard, but no calls worker has finished it.",
                "Does one run, with this REDIS_URL, CELERY_BROKER_URL and ARI_NODES? Its log says "
                "why not.",
            )
        case Stage.NOT_WRITTEN:
            yield _problem(
                check,
                about,
                f"The trial call {way} is over, but its call record is not in the database.",
                "It waits in Redis: does a records worker run, with this DATABASE_URL?",
            )
        case Stage.RECORDED:
            yield from _of_record(call, way)


def _of_record(call: TrialCall, way: str) -> Iterator[Finding]:
    check, about = "trial-call", call.node
    wrong = []
    if call.records != 1:
        wrong.append(f"left {call.records} call records, not one")
    if call.disposition != Disposition.UNAUTHORIZED:
        wrong.append(f"was recorded as {call.disposition}, though it belongs to no account")
    if call.integrity != Integrity.COMPLETE:
        wrong.append(f"was recorded as {call.integrity}: events of it were missed")
    if call.left:
        wrong.append(f"left {', '.join(call.left)} behind")
    if wrong:
        yield _problem(
            check,
            about,
            f"The trial call {way} {' and '.join(wrong)}.",
            "Keep the logs of the bridge and the calls workers, and report it.",
        )
    else:
        yield _well(
            check,
            about,
            f"A trial call {way} was refused, as a stranger's is, and left exactly one call record "
            f"after {call.took_s:.1f} s, and nothing else.",
        )


def _clock(check: str, about: str, whose: str, off_s: float) -> Finding:
    return Finding(
        check,
        Level.WARNING,
        about,
        f"{whose} is {abs(off_s):.1f} s {'ahead of' if off_s > 0 else 'behind'} this machine's.",
        "Set both by NTP: timedatectl set-ntp true.",
    )


def _problem(check: str, about: str, sentence: str, fix: str) -> Finding:
    return Finding(check, Level.PROBLEM, about, sentence, fix)


def _well(check: str, about: str, sentence: str) -> Finding:
    return Finding(check, Level.WELL, about, sentence)
