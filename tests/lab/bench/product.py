"""Ringmaster set up for a load: processes, database, an account and its routes."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import redis

from tests.lab.asterisk import Asterisk
from tests.lab.errors import LabError
from tests.lab.services import Redis
from tests.lab.stack import HERE, Checkout, Stack
from tests.lab.waiting import wait_for

CPS_LIMITS = 2
"""Limits of calls a second that count each call: its account's and its trunk's."""
CONFIGURE = """
from calls.models import Account, Limit, Route, RouteTarget, Trunk
account = Account.objects.create(code="demo", name="Demo")
of = [{"scope": "account", "account": account}]
for prefix, dial in {"49": "PJSIP/{number}@carrier-a", "88": "Local/{number}@monkeys"}.items():
    trunk = Trunk.objects.create(name=dial, dial_string=dial)
    RouteTarget.objects.create(route=Route.objects.create(prefix=prefix), trunk=trunk)
    of.append({"scope": "trunk", "trunk": trunk})
for whose in of:
    Limit.objects.create(**whose, metric="concurrent", value=50_000)
    Limit.objects.create(**whose, metric="cps", value=500)
"""
COUNT = """
import json
from django.db.models import Count
from cdr.models import Cdr
print(json.dumps({row["disposition"]: row["n"]
                  for row in Cdr.objects.values("disposition").annotate(n=Count("id"))}))
"""
UNANSWERED = """
from collections import Counter
from cdr.models import Cdr
rows = Cdr.objects.exclude(disposition="answered").prefetch_related("attempts")
print(dict(Counter(
    f"{row.disposition} {row.sip_code}/{row.q850_cause} after {row.duration_ms // 1000} s: " +
    " ".join(f"{each.outcome} {each.sip_code}/{each.q850_cause}" for each in row.attempts.all())
    for row in rows)))
"""


def environment_of(redis_url: str, database_url: str, ari_nodes: str) -> dict[str, str]:
    """The settings of a Ringmaster under load."""
    return {
        "SECRET_KEY": os.urandom(32).hex() * 2,
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "ARI_NODES": ari_nodes,
        "LOG_LEVEL": "INFO",
        "LOCAL_CONTEXTS": "monkeys",
        "NEW_ACCOUNT_MAX_CALLS": "0",
        "NEW_ACCOUNT_MINUTES_A_DAY": "0",
        "NEW_ACCOUNT_PREFIXES": "",
    }


def manage(environment: Mapping[str, str], *arguments: str, checkout: Checkout = HERE) -> str:
    """Run manage.py and give what it prints; raises LabError when it fails."""
    done = subprocess.run(
        [checkout.programs / "python", "manage.py", *arguments],
        cwd=checkout.folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stdout
        if len(said) > 4000:
            # What it lists last may be the very thing.
            said = f"{said[:2000]}\n[...]\n{said[-2000:]}"
        told = f"{said}{done.stderr[-2000:]}"
        raise LabError(f"manage.py {arguments[0]} failed:\n{told}")
    return done.stdout


def configure(environment: Mapping[str, str]) -> None:
    """Write the account, trunks, routes and limits that a load needs."""
    manage(environment, "shell", "--no-imports", "--command", CONFIGURE)


class Product:
    """Ringmaster, running with a Redis and a database of its own."""

    def __init__(
        self,
        folder: Path,
        asterisk: Asterisk,
        server: Redis,
        database_url: str,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.environment = environment_of(server.url, database_url, asterisk.ari_nodes)
        self.environment |= settings or {}
        self._asterisk = asterisk
        self._redis_pid = server.pid
        self.redis = redis.Redis.from_url(server.url)
        self.stack = Stack(folder, self.environment)

    def start(self) -> None:
        """Migrate, configure, start every process and wait until it works."""
        manage(self.environment, "migrate", "--verbosity", "0")
        configure(self.environment)
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
        found: dict[str, int] = json.loads(
            manage(self.environment, "shell", "--no-imports", "--command", COUNT)
        )
        return found

    def unanswered(self) -> str:
        """What became of the calls that were not answered, and of their attempts; how many each."""
        return manage(self.environment, "shell", "--no-imports", "--command", UNANSWERED).strip()

    def settle(self) -> None:
        """Wait until no call lives and CDRs and traces have left their streams; raises LabError."""
        wait_for(
            lambda: (
                not self.live()
                and not self.redis.xlen("ringmaster:cdrs")
                and not self.redis.xlen("ringmaster:traces")
            ),
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
