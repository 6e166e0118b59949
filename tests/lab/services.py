"""A private Redis and a private PostgreSQL, each on its own port with its own folder.

The system's own services are neither used nor disturbed. Where the environment names one
(``RINGMASTER_LAB_REDIS_URL``, ``RINGMASTER_LAB_DATABASE_URL``), that one is used instead.
"""

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import redis

from tests.lab.errors import LabError
from tests.lab.packages import need, need_program, run_visibly
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child, temporary_folder
from tests.lab.waiting import wait_for

REDIS_URL_SETTING = "RINGMASTER_LAB_REDIS_URL"
DATABASE_URL_SETTING = "RINGMASTER_LAB_DATABASE_URL"
START_TIMEOUT_S = 60.0
POSTGRES_USER = "postgres"


class Redis:
    """A private Redis server as it should run in production: it keeps what it is given.

    Append-only file written every second, and no eviction: a full Redis refuses, it forgets
    nothing. ``port`` is a free one unless named; ``configuration`` stands before all options.
    """

    def __init__(self, port: int | None = None, configuration: Sequence[str] = ()) -> None:
        self._program = need_program("redis-server", "redis-server", purpose="Redis")
        self.port = port or free_port()
        self.folder = temporary_folder("redis")
        self._child: Child | None = None
        self._configuration = tuple(configuration)
        self.environment: Mapping[str, str] = {}
        """What it is started with besides what it inherits."""

    @property
    def url(self) -> str:
        """``redis://…`` for Ringmaster's REDIS_URL."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Process id of the running server; raises LabError when it does not run."""
        if self._child is None:
            raise LabError("Redis is not running: start() it first.")
        return self._child.pid

    def client(self) -> "redis.Redis":
        """A client of its own; the caller closes it, or leaves that to the end of the process."""
        return redis.Redis.from_url(self.url)

    def start(self) -> "Redis":
        """Start the server, or start it again with the data it had, and wait until it answers."""
        child = Child(
            "Redis",
            [
                self._program,
                *self._configuration,
                *("--bind", LOOPBACK, "--port", str(self.port), "--dir", str(self.folder)),
                *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
            ],
            self.folder / "redis.log",
            env=os.environ | self.environment,
        )
        self._child = child
        wait_for(
            lambda: not child.running or self._answers(),
            timeout_s=START_TIMEOUT_S,
            failure=lambda: (
                f"Redis does not answer after {START_TIMEOUT_S:g} s:\n{child.log_tail()}"
            ),
        )
        if not child.running:
            raise LabError(f"Redis ended at its start:\n{child.log_tail()}")
        return self

    def stop(self) -> None:
        """End the server; its data stays until the folder is removed."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """``kill -9``, as a crash."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1) as s:
            s.sendall(b"PING\r\n")
            return s.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


class PostgreSQL:
    """A private PostgreSQL cluster with one database, ``ringmaster``.

    It refuses to run as root, so root runs it as the system's ``postgres`` user. Its superuser has
    a login without a password, on loopback and in its own socket folder only. In a ``folder`` that
    is named it goes on with the data that it finds there, and the folder stays.
    """

    def __init__(
        self,
        *,
        durable: bool = True,
        options: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._durable = durable
        self.options = dict(options or {})
        """Settings of postgresql.conf, by name, for the next start."""
        need(lambda: _postgres_bin() is not None, "postgresql", purpose="PostgreSQL")
        found = _postgres_bin()
        assert found is not None
        self._bin = found
        self._user = POSTGRES_USER if os.geteuid() == 0 else None
        self.port = free_port()
        self.folder = folder or temporary_folder("postgres")
        # A server that was killed goes through its log first, which takes as long as that is.
        self._start_timeout_s = 10 * START_TIMEOUT_S if folder else START_TIMEOUT_S
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """``postgres://…`` for Ringmaster's DATABASE_URL."""
        return f"postgres://{POSTGRES_USER}@{LOOPBACK}:{self.port}/ringmaster"

    def start(self) -> "PostgreSQL":
        """Make the cluster if there is none yet, start the server, wait until it answers."""
        data = self.folder / "data"
        if not data.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._user:
                shutil.chown(self.folder, self._user, self._user)
            run_visibly("Making a PostgreSQL cluster", self._as_user("initdb", *self._initdb(data)))
        log = self.folder / "postgres.log"
        # That of a start before this one says "ready" too.
        log.unlink(missing_ok=True)
        child = Child(
            "PostgreSQL",
            [
                str(self._bin / "postgres"),
                *("-D", str(data), "-p", str(self.port), "-k", str(self.folder)),
                *("-c", f"listen_addresses={LOOPBACK}", "-c", "max_connections=100"),
                *(word for name, text in self.options.items() for word in ("-c", f"{name}={text}")),
                *([] if self._durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]),
            ],
            log,
            user=self._user,
            cwd=self.folder,
        )
        self._child = child
        wait_for(
            lambda: not child.running or "ready to accept connections" in child.log_tail(),
            timeout_s=self._start_timeout_s,
            failure=lambda: (
                f"PostgreSQL is not ready after {self._start_timeout_s:g} s:\n{child.log_tail()}"
            ),
        )
        if not child.running:
            raise LabError(f"PostgreSQL ended at its start:\n{child.log_tail()}")
        self._create_database()
        return self

    def freeze(self, *, frozen: bool) -> None:
        """Let every process of the server stand still, or go on: connections stand, and say
        nothing, as by a black hole on the way."""
        if self._child is not None:
            self._child.send_group(signal.SIGSTOP if frozen else signal.SIGCONT)

    def stop(self) -> None:
        """Disconnect everybody and end the server."""
        if self._child is not None:
            self._child.stop(signal.SIGINT)
            self._child = None

    def _initdb(self, data: Path) -> list[str]:
        return [
            *("-D", str(data), "-U", POSTGRES_USER, "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        ]

    def _as_user(self, program: str, *arguments: str) -> list[str]:
        command = [str(self._bin / program), *arguments]
        return ["runuser", "-u", self._user, "--", *command] if self._user else command

    def _create_database(self) -> None:
        import psycopg2

        connection = psycopg2.connect(
            host=LOOPBACK, port=self.port, user=POSTGRES_USER, dbname="postgres", connect_timeout=5
        )
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'ringmaster'")
            if cursor.fetchone() is None:
                cursor.execute("CREATE DATABASE ringmaster")


def _postgres_bin() -> Path | None:
    """The folder of the newest installed PostgreSQL's server programs."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists()]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


@contextlib.contextmanager
def redis_url(port: int | None = None) -> Iterator[str]:
    """The URL of a Redis to use; a private one (on ``port``) is stopped and removed at the end."""
    named = os.environ.get(REDIS_URL_SETTING)
    if named:
        yield named
        return
    server = Redis(port)
    try:
        yield server.start().url
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@contextlib.contextmanager
def database_url(*, durable: bool = True) -> Iterator[str]:
    """The URL of a PostgreSQL database to use; a private one is stopped and removed at the end.

    One that is not ``durable`` may lose data when the machine dies; tests need not wait for disks.
    """
    named = os.environ.get(DATABASE_URL_SETTING)
    if named:
        yield named
        return
    server = PostgreSQL(durable=durable)
    try:
        yield server.start().url
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
