"""Whether a process can do its work: what it needs answers, and it says that it is alive.

For supervisors, balancers and whoever is called at night: each answer is a sentence. No answer
takes much longer than `PATIENCE_S`, whatever hangs. What stops is told within three seconds: every
process beats once a second (calls/store/heartbeats.py), and one that has not for `SILENT_MS` is
held for stopped.
"""

import asyncio
import http.client
import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import redis
from django.conf import settings
from django.db import Error, close_old_connections, connection

from ari_bridge.client import Unreachable, client_of
from ari_bridge.node import AriNode
from calls.clock import steady_s
from calls.store.heartbeats import Process
from calls.store.impatient import impatient_redis
from calls.store.pulse import Pulse, pulse
from cdr import patience

PATIENCE_S = 1.0
"""How long one question may take. They are asked side by side."""
SILENT_MS = 2_000
"""A process that has not beaten for so long is stopped: one beat is missing, the next late."""
OVERDUE_MS = 3_000
"""A call that waits so long for a worker has been missed by several sweeps."""
LAG_MS = 30_000
"""Records gather for a second at most; one that waits for so long waits for something."""
PROCESSES = ("bridge", "calls", "records", "webhooks", "web")
OF_EVERY_SWITCH = PROCESSES[:3]
SWITCH = "switch"
"""All without which there are no calls, wherever they run."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what is to be said of it."""

    name: str
    well: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Where:
    """Whose beats count: those of one machine, of one process there, or (empty) of all."""

    host: str = ""
    pid: int = 0

    def takes(self, process: Process) -> bool:
        """Whether it is one of those."""
        return self.host in ("", process.host) and self.pid in (0, process.pid)

    def __str__(self) -> str:
        return f" with id {self.pid}" * bool(self.pid) + f" on {self.host}" * bool(self.host)


THIS_MACHINE = Where(socket.gethostname())


def look(process: str, where: Where = Where()) -> list[Check]:
    """What a process of that kind needs, or with `SWITCH` what all do. Never raises."""
    if process == "web":
        return _at_once([_database, _redis])
    questions: list[_Question] = [partial(_by_beats, process, where)]
    if process in ("records", "webhooks", SWITCH):
        questions.append(_database)
    if process in ("calls", SWITCH) and settings.LIMITS_REDIS_URL != settings.REDIS_URL:
        questions.append(_limits_redis)
    if process in ("bridge", SWITCH):
        questions += [partial(_node, node) for node in settings.ARI_NODES.values()]
    return _at_once(questions)


_Question = Callable[[], Iterable[Check]]


def _at_once(questions: Iterable[_Question]) -> list[Check]:
    asked = list(questions)
    with ThreadPoolExecutor(len(asked), thread_name_prefix="health") as pool:
        return [check for found in pool.map(lambda ask: list(ask()), asked) for check in found]


# --- What is asked ---


def _database() -> Iterator[Check]:
    try:
        with patience.within(PATIENCE_S):
            close_old_connections()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
    except Error as error:
        logger.debug("The database does not answer: %s", error)
        yield Check("database", False, "The database (DATABASE_URL) does not answer.")
    else:
        yield Check("database", True, "The database answers.")
    finally:
        connection.close()


def _redis() -> Iterator[Check]:
    yield _answers("redis", "Redis (REDIS_URL)", settings.REDIS_URL)


def _limits_redis() -> Iterator[Check]:
    yield _answers(
        "limits", "The Redis of the limits (LIMITS_REDIS_URL)", settings.LIMITS_REDIS_URL
    )


def _answers(name: str, what: str, url: str) -> Check:
    try:
        with impatient_redis(url) as client:
            client.ping()
    except redis.RedisError as error:
        logger.debug("%s does not answer: %s", what, error)
        return Check(name, False, f"{what} does not answer.")
    return Check(name, True, f"{what} answers.")


def _by_beats(process: str, where: Where) -> Iterator[Check]:
    try:
        felt = pulse()
    except redis.RedisError as error:
        logger.debug("Redis does not answer: %s", error)
        yield Check("redis", False, "Redis (REDIS_URL) does not answer.")
        return
    yield Check("redis", True, "Redis (REDIS_URL) answers.")
    yield from judged(process, felt, where, tuple(settings.ARI_NODES))


def _node(node: AriNode) -> Iterator[Check]:
    name = f"node {node.name}"
    try:
        asyncio.run(_ping(node))
    except (Unreachable, OSError) as error:
        logger.debug("%s does not answer: %s", name, error)
        yield Check(name, False, f"Asterisk {node.name} does not answer.")
    else:
        yield Check(name, True, f"Asterisk {node.name} answers.")


async def _ping(node: AriNode) -> None:
    async with client_of(node) as ari:
        await ari.request("GET", "/asterisk/ping", until_s=steady_s() + PATIENCE_S)


def serves(bind: str) -> Check:
    """Whether the web process answers at WEB_BIND."""
    host, _, port = bind.rpartition(":")
    if bind.startswith("unix:"):
        return Check("web", True, f"Whether the web process serves at {bind} is not looked at.")
    there = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104
    asking = http.client.HTTPConnection(there, int(port), timeout=PATIENCE_S)
    try:
        asking.request("GET", "/health/live", headers={"Host": settings.ALLOWED_HOSTS[0]})
        well = asking.getresponse().status < 400
    except (OSError, http.client.HTTPException) as error:
        logger.debug("The web process does not answer: %s", error)
        well = False
    finally:
        asking.close()
    return Check(
        "web", well, f"The web process {'answers' if well else 'does not answer'} at {bind}."
    )


# --- What the beats say ---


def judged(process: str, felt: Pulse, where: Where, nodes: Iterable[str]) -> Iterator[Check]:
    """What Redis tells of a process of this kind and its work; pure."""
    kinds = OF_EVERY_SWITCH if process == SWITCH else (process,)
    for kind in kinds:
        yield _alive(kind, felt, where)
    if "bridge" in kinds:
        yield from (_is_heard(node, felt) for node in nodes)
    if "calls" in kinds:
        late_s = felt.overdue_ms / 1000
        yield Check(
            "attended",
            felt.overdue_ms <= OVERDUE_MS,
            f"A call has waited {late_s:.0f} s for a worker."
            if late_s > OVERDUE_MS / 1000
            else "No call waits for a worker.",
        )
    if "records" in kinds:
        lag_s = felt.lag_ms / 1000
        yield Check(
            "lag",
            felt.lag_ms <= LAG_MS,
            f"{felt.records} call records wait for the database, the oldest for {lag_s:.0f} s.",
        )


def _alive(kind: str, felt: Pulse, where: Where) -> Check:
    ours = [each for each in felt.processes if each.kind == kind and where.takes(each)]
    beating = [each for each in ours if each.silent_ms <= SILENT_MS]
    if beating:
        many = f"{len(beating)} `{kind}` process{'es' * (len(beating) > 1)}"
        return Check(kind, True, f"{many}{where} {'are' if len(beating) > 1 else 'is'} alive.")
    if ours:
        silent_s = min(each.silent_ms for each in ours) / 1000
        return Check(
            kind, False, f"The `{kind}` process{where} has been silent for {silent_s:.1f} s."
        )
    return Check(kind, False, f"No `{kind}` process{where} runs.")


def _is_heard(node: str, felt: Pulse) -> Check:
    heard = any(
        f"{node} listens" in each.note.split(", ")
        for each in felt.processes
        if each.kind == "bridge" and each.silent_ms <= SILENT_MS
    )
    told = "is heard: its last echo came back" if heard else "is not heard by any ARI bridge"
    return Check(f"heard {node}", heard, f"Asterisk {node} {told}.")
