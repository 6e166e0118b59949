"""Three Redis servers of which Sentinel makes another one the primary, behind one address.

HAProxy holds the address: it leads to the server that says of itself that it is the primary and
that has replicas, so never to one that comes back and does not know yet what happened.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import redis

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.packages import need_program
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child, temporary_folder
from tests.lab.services import Redis
from tests.lab.waiting import wait_for

NAME = "ringmaster"
PATIENCE_S = 30.0
_STRICT = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
"""A primary that has lost its replicas takes nothing that would be lost with it."""


class RedisBehindSentinel:
    """The servers, three sentinels and the address."""

    def __init__(self) -> None:
        self._redis_server = need_program("redis-server", "redis-server", purpose="Sentinel")
        self._haproxy = need_program("haproxy", "haproxy", purpose="an address that follows it")
        self._folder = temporary_folder("sentinel")
        self._port = free_port()
        self._sentinels = [free_port() for _ in range(3)]
        self._children: list[Child] = []
        first = Redis(configuration=_STRICT)
        of_first = ("--replicaof", LOOPBACK, str(first.port))
        self.servers = [first, *(Redis(configuration=(*_STRICT, *of_first)) for _ in range(2))]

    @property
    def url(self) -> str:
        """Of whichever is the primary."""
        return f"redis://{LOOPBACK}:{self._port}/0"

    @property
    def primary(self) -> Redis:
        """Which server the sentinels say it is."""
        with redis.Redis(LOOPBACK, self._sentinels[0]) as sentinel:
            _, port = sentinel.sentinel_get_master_addr_by_name(NAME)
        return next(each for each in self.servers if each.port == int(port))

    def start(self) -> None:
        """Start everything, and wait until the sentinels know the servers and each other."""
        for server in self.servers:
            server.start()
        for port in self._sentinels:
            path = self._folder / f"sentinel-{port}.conf"
            path.write_text(self._sentinel_conf(port))
            self._start("Sentinel", [self._redis_server, str(path), "--sentinel"], f"s{port}")
        haproxy = self._folder / "haproxy.cfg"
        haproxy.write_text(self._haproxy_cfg())
        self._start("HAProxy", [self._haproxy, "-db", "-f", str(haproxy)], "haproxy")
        wait_for(self._is_complete, timeout_s=PATIENCE_S, failure=self._logs)

    def wait_until_failed_over(self, before: Redis) -> None:
        """Wait until another one is the primary and may be written to by the address."""
        wait_for(
            lambda: self.primary is not before and self._is_written_to(),
            timeout_s=PATIENCE_S,
            failure=self._logs,
        )

    def stop(self) -> None:
        for child in self._children:
            child.stop()
        for server in self.servers:
            server.stop()
            shutil.rmtree(server.folder, ignore_errors=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, name: str, command: list[str], log: str) -> None:
        self._children.append(Child(name, command, self._folder / f"{log}.log"))

    def _is_complete(self) -> bool:
        try:
            with redis.Redis(LOOPBACK, self._sentinels[0]) as sentinel:
                known = sentinel.sentinel_master(NAME)
        except redis.RedisError:
            return False
        return (
            known["num-slaves"] == 2 and known["num-other-sentinels"] == 2 and self._is_written_to()
        )

    def _is_written_to(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                client.set("ringmaster:mark:probe", 1, px=1)
        except redis.RedisError:
            return False
        return True

    def _logs(self) -> str:
        return "\n".join(child.log_tail() for child in self._children)

    def _sentinel_conf(self, port: int) -> str:
        first = self.servers[0]
        return "\n".join(
            (
                f"port {port}",
                f"bind {LOOPBACK}",
                f"dir {self._folder}",
                f"sentinel monitor {NAME} {LOOPBACK} {first.port} 2",
                f"sentinel down-after-milliseconds {NAME} 1000",
                f"sentinel failover-timeout {NAME} 5000",
                f"sentinel parallel-syncs {NAME} 2",
                "",
            )
        )

    def _haproxy_cfg(self) -> str:
        """The one that users copy, with this lab's addresses in it."""
        text = (REPOSITORY / "docs" / "redis" / "haproxy.cfg").read_text()
        text = text.replace("127.0.0.1:6379", f"{LOOPBACK}:{self._port}")
        for number, server in enumerate(self.servers, start=1):
            text = text.replace(f"10.0.0.{number}:6379", f"{LOOPBACK}:{server.port}")
        return text


@contextmanager
def redis_behind_sentinel() -> Iterator[RedisBehindSentinel]:
    """Up and complete; ended with the block. Raises LabError where a part cannot be had."""
    with ExitStack() as stack:
        found = RedisBehindSentinel()
        stack.callback(found.stop)
        found.start()
        yield found
