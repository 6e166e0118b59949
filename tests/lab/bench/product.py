"""Ringmaster set up for a load: processes, database, an account and its routes."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import redis

from tests.lab.asterisk import Asterisk
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.services import Redis
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for

CONFIGURE = """
from calls.models import Account, Route, RouteTarget, Trunk
Account.objects.create(code="demo", name="Demo")
for prefix, dial in {"49": "PJSIP/{number}@carrier-a", "88": "Local/{number}@monkeys"}.items():
    trunk = Trunk.objects.create(name=dial, dial_string=dial)
    RouteTarget.objects.create(route=Route.objects.create(prefix=prefix), trunk=trunk)
"""
COUNT = """
import json
from django.db.models import Count
from cdr.models import Cdr
print(json.dumps({row["disposition"]: row["n"]
                  for row in Cdr.objects.values("disposition").annotate(n=Count("id"))}))
"""


class Product:
    """Ringmaster, running with a Redis and a database of its own."""

    def __init__(self, folder: Path, asterisk: Asterisk, server: Redis, database_url: str) -> None:
        self.environment = {
            "SECRET_KEY": os.urandom(32).hex() * 2,
            "REDIS_URL": server.url,
            "DATABASE_URL": database_url,
            "ARI_NODES": asterisk.ari_nodes,
            "LOG_LEVEL": "INFO",
        }
        self._asterisk = asterisk
        self._redis_pid = server.pid
        self.redis = redis.Redis.from_url(server.url)
        self.stack = Stack(folder, self.environment)

    def start(self) -> None:
        """Migrate, configure, start every process and wait until it works."""
        self._manage("migrate", "--verbosity", "0")
        self._shell(CONFIGURE)
        self.stack.start()
        self.stack.wait_ready(self._asterisk)

    @property
    def pids(self) -> Mapping[str, int]:
        """The processes whose cost is ours."""
        return {name: self.stack.pid(name) for name in self.stack.names} | {
            "redis": self._redis_pid
        }

    def cdrs(self) -> dict[str, int]:
        """Rows in the database by disposition."""
        found: dict[str, int] = json.loads(self._shell(COUNT))
        return found

    def settle(self) -> None:
        """Wait until no call lives and every CDR has left the stream; raises LabError."""
        wait_for(
            lambda: not self.live() and not self.redis.xlen("ringmaster:cdrs"),
            timeout_s=60,
            failure=lambda: (
                f"{self.live()} calls live, {self.redis.xlen('ringmaster:cdrs')} "
                "CDRs wait in Redis."
            ),
        )

    def live(self) -> int:
        """How many calls live, by what Redis remembers."""
        return int(self.redis.zcard("ringmaster:attend"))

    def leftovers(self) -> list[str]:
        """What Asterisk still has, and keys in Redis that are more than a tombstone."""
        keys = [key.decode() for key in self.redis.scan_iter("ringmaster:mail:*", count=1000)]
        for key in self.redis.scan_iter("ringmaster:call:*", count=1000):
            if self.redis.hkeys(key) != [b"over"]:
                keys.append(key.decode())
        return self._asterisk.leftovers() + keys

    def _shell(self, code: str) -> str:
        return self._manage("shell", "--no-imports", "--command", code)

    def _manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LabError(f"manage.py {arguments[0]} failed:\n{done.stderr[-2000:]}")
        return done.stdout
