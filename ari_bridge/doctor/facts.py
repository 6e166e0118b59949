"""What the doctor has found, and what it says of it. Pure values.

Whatever could not be found out is None, and then nothing is said about it: a check never guesses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from calls.store.heartbeats import Process


class Level(StrEnum):
    """How bad it is."""

    WELL = "well"
    WARNING = "warning"
    """It works, and will bite one day."""
    PROBLEM = "problem"
    """Calls, records or events are lost, or will be."""
    UNKNOWN = "unknown"
    """It could not be looked at; another finding says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says."""

    check: str
    """Its name, for programs; these stay."""
    level: Level
    about: str
    """The node, trunk or part that it is about; '' for all of Ringmaster."""
    sentence: str
    fix: str = ""
    """What to do; '' where all is well."""


@dataclass(frozen=True, slots=True)
class Option:
    """Where an option of Asterisk's stands."""

    file: str
    section: str
    name: str


SESSION_LIMIT = Option("http.conf", "general", "sessionlimit")
KEEP_ALIVE = Option("http.conf", "general", "session_keep_alive")
WRITE_TIMEOUT = Option("ari.conf", "general", "websocket_write_timeout")
OPTIONS = (SESSION_LIMIT, KEEP_ALIVE, WRITE_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Context:
    """A context of the dialplan that PJSIP endpoints call into."""

    name: str
    endpoints: tuple[str, ...]
    extens: tuple[str, ...]
    """Its ``exten`` lines in extensions.conf, those of contexts that it includes behind them."""
    sames: tuple[str, ...]
    """Its ``same`` lines, likewise."""
    reaches: frozenset[str] = frozenset()
    """Which of Asterisk's own extensions (h, T) something in it matches, as Asterisk says."""


@dataclass(frozen=True, slots=True)
class Node:
    """One Asterisk. ``status`` is what ``GET /ari/asterisk/info`` gave, None for no answer."""

    name: str
    url: str
    user: str
    host: str
    host_error: str = ""
    """Why its host name does not resolve."""
    host_s: float = 0.0
    """How long that took, in seconds."""
    own_name_error: str = ""
    """Why the name of the machine it runs on does not resolve; known of this machine only."""
    status: int | None = None
    error: str = ""
    version: str = ""
    system_name: str = ""
    entity_id: str = ""
    may_write: bool | None = None
    clock_off_s: float | None = None
    """By how much its clock is ahead of this machine's."""
    connected: bool | None = None
    """Whether an application of our name is connected."""
    allowed_events: frozenset[str] | None = None
    """What the application's filter lets through; empty: everything."""
    options: Mapping[Option, str] | None = None
    """Options that its configuration files set; one that is not there has Asterisk's default."""
    contexts: tuple[Context, ...] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    """Global variables that the dialplan's Stasis lines name."""
    endpoints: Mapping[str, str] | None = None
    """State of each PJSIP endpoint by its name: online, offline, unknown."""
    unwatched: frozenset[str] = frozenset()
    """Endpoints whose address Asterisk does not qualify, so that its state says nothing."""
    redirecting: tuple[str, ...] = ()
    """Endpoints whose 302 PJSIP itself follows."""

    @property
    def answers(self) -> bool:
        """Whether its ARI can be asked at all."""
        return self.status == 200


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One Redis; ``settings`` are the settings that name it."""

    settings: tuple[str, ...]
    error: str = ""
    version: str = ""
    role: str = "master"
    policy: str = "noeviction"
    appends: bool = True
    """Whether it keeps an append-only file."""
    writes: bool = True
    """Whether its last write to disk went well."""
    clock_off_s: float = 0.0
    keeps_calls: bool = True
    """Whether calls or counters lie in it, and not only nudges."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that is no Redis: RabbitMQ. ``user`` and ``vhost`` are ours there."""

    host: str
    error: str = ""
    version: str = ""
    user: str = ""
    vhost: str = "/"
    queue: str = ""
    forbidden: tuple[str, ...] = ()
    """What our user lacks there, in the broker's words: ``access to queue 'calls' (Basic.get)``."""
    other_kind: bool = False
    """Whether the queue is there as another kind than the one we declare."""
    tls: bool = False
    local: bool = True
    """Whether it is on this machine, so that nobody reads along on the way."""


@dataclass(frozen=True, slots=True)
class Database:
    """The database."""

    vendor: str
    error: str = ""
    unapplied: tuple[str, ...] = ()
    """Migrations that have not been run."""
    unknown: tuple[str, ...] = ()
    """Migrations that it has had and this code does not know: the code is the older one."""
    clock_off_s: float | None = None
    ends_statements: bool = True
    """Whether PostgreSQL itself ends a statement that runs too long."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """A trunk as it is configured."""

    name: str
    dial_string: str
    enabled: bool
    refused: str = ""
    """What keeps its dial string from being dialled by the settings; '' for nothing."""


class Stage(StrEnum):
    """How far the trial call came."""

    NOT_PLACED = "not placed"
    NOT_HEARD = "not heard"
    NOT_DECIDED = "not decided"
    NOT_WRITTEN = "not written"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class TrialCall:
    """What came of the trial call."""

    node: str
    way: str
    """``[context]`` it came in by, or '' for straight into the application."""
    stage: Stage
    error: str = ""
    records: int = 0
    disposition: str = ""
    integrity: str = ""
    took_s: float = 0.0
    left: tuple[str, ...] = ()
    """Channels and keys that are still there."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was found."""

    app: str
    rest: str
    """ARI_REST."""
    nodes: tuple[Node, ...] = ()
    redis: tuple[RedisServer, ...] = ()
    broker: Broker | None = None
    """None where a Redis carries the nudges."""
    database: Database | None = None
    processes: tuple[Process, ...] | None = None
    waiting_records: int = 0
    webhooks: tuple[tuple[str, str], ...] = ()
    """Each that is enabled or was disabled for its failures: its name, and why it was disabled."""
    oldest_record_s: float = 0.0
    trunks: tuple[Trunk, ...] | None = None
    calls: tuple[TrialCall, ...] = ()
