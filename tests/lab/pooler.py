"""A private PgBouncer in front of a PostgreSQL, sharing its connections between transactions."""

import os
import shutil
import urllib.parse

from tests.lab.errors import LabError
from tests.lab.packages import need_program
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child, temporary_folder
from tests.lab.services import POSTGRES_USER, START_TIMEOUT_S
from tests.lab.waiting import wait_for

CONNECTIONS = 3
"""To the server, for all clients together: few, so that they meet each other's."""


class PgBouncer:
    """``pool_mode = transaction`` before the PostgreSQL of ``database_url``; see ``url``.

    Like PostgreSQL it refuses to run as root, so root runs it as the system's ``postgres`` user.
    """

    def __init__(self, database_url: str) -> None:
        self._program = need_program("pgbouncer", "pgbouncer", purpose="PgBouncer")
        self._server = urllib.parse.urlsplit(database_url)
        self._name = self._server.path.removeprefix("/")
        self.port = free_port()
        self.folder = temporary_folder("pgbouncer")
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """``postgres://…`` for Ringmaster's DATABASE_URL."""
        return f"postgres://{self._server.username}@{LOOPBACK}:{self.port}/{self._name}"

    def start(self) -> "PgBouncer":
        """Start it and wait until it listens; raises LabError."""
        user = POSTGRES_USER if os.geteuid() == 0 else None
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(self._settings())
        if user:
            shutil.chown(self.folder, user, user)
        child = Child(
            "PgBouncer",
            [self._program, str(settings)],
            self.folder / "pgbouncer.log",
            user=user,
            cwd=self.folder,
        )
        self._child = child
        wait_for(
            lambda: not child.running or "process up" in child.log_tail(),
            timeout_s=START_TIMEOUT_S,
            failure=lambda: f"PgBouncer does not listen:\n{child.log_tail()}",
        )
        if not child.running:
            raise LabError(f"PgBouncer ended at its start:\n{child.log_tail()}")
        return self

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def __enter__(self) -> "PgBouncer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _settings(self) -> str:
        server = self._server
        return f"""[databases]
{self._name} = host={server.hostname} port={server.port} dbname={self._name} user={server.username}

[pgbouncer]
listen_addr = {LOOPBACK}
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {CONNECTIONS}
"""
