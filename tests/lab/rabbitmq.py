"""A private RabbitMQ on loopback, with an Erlang port mapper of its own."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from tests.lab.certificates import Certificates
from tests.lab.errors import LabError
from tests.lab.packages import need, need_program
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child, temporary_folder
from tests.lab.waiting import wait_for

START_TIMEOUT_S = 180.0
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server itself; what stands in the PATH wants to change the user first."""


class RabbitMQ:
    """One node with one user, who has a random password; see ``url``.

    With ``certificates`` it listens by TLS, too, and shows them; see ``url_by_tls``. It can be
    started and killed any number of times, and keeps its ports and its data. ``close`` removes
    them.
    """

    def __init__(self, certificates: Certificates | None = None) -> None:
        need(SERVER.exists, "rabbitmq-server", purpose="RabbitMQ")
        self._mapper_program = need_program("epmd", "erlang-base", purpose="Erlang's port mapper")
        self.port = free_port()
        self._mapper_port, self._node_port = free_port(), free_port()
        self._password = secrets.token_urlsafe(16)
        self._certificates = certificates
        self._tls_port = free_port()
        self.folder = temporary_folder("rabbitmq")
        self._mapper: Child | None = None
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """``amqp://…`` for Ringmaster's CELERY_BROKER_URL."""
        return f"amqp://ringmaster:{self._password}@{LOOPBACK}:{self.port}//"

    @property
    def url_by_tls(self) -> str:
        """The same as ``amqps://…``, where it was given certificates."""
        return f"amqps://ringmaster:{self._password}@{LOOPBACK}:{self._tls_port}//"

    def start(self) -> "RabbitMQ":
        """Start it and wait until it takes connections; raises LabError with its log if not."""
        (self.folder / "rabbitmq.conf").write_text(self._configuration())
        if self._mapper is None:
            # RabbitMQ would start one that outlives it, for the whole machine.
            self._mapper = Child(
                "Erlang's port mapper",
                [self._mapper_program, "-address", LOOPBACK, "-port", str(self._mapper_port)],
                self.folder / "epmd.log",
            )
        log = self.folder / "rabbitmq.log"
        # Readiness is read from it, so one that is started again begins a new one.
        log.unlink(missing_ok=True)
        child = Child("RabbitMQ", [str(SERVER)], log, env=self._environment())
        self._child = child
        wait_for(
            lambda: not child.running or "Server startup complete" in child.log_tail(200),
            timeout_s=START_TIMEOUT_S,
            failure=lambda: f"RabbitMQ is not ready:\n{child.log_tail()}",
        )
        if not child.running:
            raise LabError(f"RabbitMQ ended at its start:\n{child.log_tail()}")
        return self

    def permit(self, configure: str, write: str, read: str) -> None:
        """Let the user do this in the virtual host ``/``; raises LabError."""
        done = subprocess.run(
            [
                *(str(SERVER.with_name("rabbitmqctl")), "--node", "ringmaster@localhost"),
                *("set_permissions", "--vhost", "/", "ringmaster", configure, write, read),
            ],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LabError(f"rabbitmqctl failed:\n{done.stdout}{done.stderr}")

    def kill(self) -> None:
        """``kill -9``, as a crash; its data stays."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def close(self) -> None:
        """End it, and remove its folder."""
        self.kill()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "RabbitMQ":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _configuration(self) -> str:
        settings = {
            "listeners.tcp.default": f"{LOOPBACK}:{self.port}",
            "default_user": "ringmaster",
            "default_pass": self._password,
            "log.console": "true",
            "log.console.level": "info",
            "log.file": "false",
            # It refuses messages while less is free, and CI machines may have less.
            "disk_free_limit.absolute": "10MB",
        }
        if self._certificates is not None:
            settings |= {
                "listeners.ssl.default": f"{LOOPBACK}:{self._tls_port}",
                "ssl_options.cacertfile": self._certificates.ca,
                "ssl_options.certfile": self._certificates.cert,
                "ssl_options.keyfile": self._certificates.key,
                # What a client shows is not asked for.
                "ssl_options.verify": "verify_none",
                "ssl_options.fail_if_no_peer_cert": "false",
            }
        return "".join(f"{name} = {value}\n" for name, value in settings.items())

    def _environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            **os.environ,
            "HOME": folder,
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._mapper_port),
            "RABBITMQ_NODENAME": "ringmaster@localhost",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none"
            ),
        }
