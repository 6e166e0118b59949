"""The whole of Ringmaster for a test: real Asterisk, real SIP, real Redis, real database.

The processes of the Procfile run for a whole folder of tests; what they share with the test is the
test database (committed, so that they see it) and Redis.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection

from calls.models import Account, Route, RouteTarget, Trunk
from calls.store import config_version
from cdr.models import Cdr
from tests.lab.asterisk import Asterisk
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for

COUNTS = (b"ringmaster:limit:", b"ringmaster:trunk:")
"""What limits count and trunks' attempts say. It lapses, and is no other test's business."""
STAYS = (
    b"ringmaster:config_version",
    b"ringmaster:cell",
    b"ringmaster:clock",
    b"ringmaster:cdrs",
    b"ringmaster:traces",
    b"ringmaster:sip:",
    b"ringmaster:ledger:",
    b"ringmaster:listener:",
    b"ringmaster:process:",
    b"ringmaster:metrics:",
    b"ringmaster:mark",
    b"ringmaster:order:",
    b"ringmaster:webhooks:",
    b"_kombu.",
    *(
        b"ringmaster:limit:" + kind
        for kind in (b"refused", b"would", b"minutes:", b"warned:", b"cps:", b"kept:", b"keeper:")
    ),
    b"ringmaster:trunk:",
)
"""What is meant to stay in Redis when no call is up: besides these only tombstones, which lapse."""


class Ringmaster:
    """The running product, as a test sees it."""

    def __init__(self, stack: Stack, asterisk: Asterisk, client: redis.Redis, folder: Path) -> None:
        self._folder = folder
        self._environment = _environment(asterisk)
        self.stack = stack
        self.asterisk = asterisk
        self.redis = client

    @property
    def environment(self) -> dict[str, str]:
        """What a further process of this switch is started with."""
        return {**os.environ, **self._environment}

    def account(self, code: str = "demo", **fields: object) -> Account:
        return Account.objects.create(code=code, name=code.title(), **fields)

    def route(
        self, prefix: str, *dial_strings: str, action: str = "route", **trunk: object
    ) -> Route:
        """A route for all accounts to new trunks with these dial strings, tried in order."""
        route = Route.objects.create(prefix=prefix, action=action)
        for priority, dial_string in enumerate(dial_strings, start=1):
            name = f"{dial_string.partition('@')[2]}-{prefix}-{priority}"
            made = Trunk.objects.create(name=name, dial_string=dial_string, **trunk)
            RouteTarget.objects.create(route=route, trunk=made, priority=priority)
        return route

    def wait_for_cdrs(self, count: int, timeout_s: float = 15) -> list[Cdr]:
        """The CDRs, oldest first, once there are so many and every call is over."""
        wait_for(
            lambda: Cdr.objects.count() >= count and not self.live_calls(),
            timeout_s=timeout_s,
            failure=lambda: f"{Cdr.objects.count()} CDRs of {count}; live: {self.live_calls()}",
        )
        return list(Cdr.objects.order_by("started_at"))

    def cdr(self, *, begun_since: datetime | None = None) -> Cdr:
        """The one CDR there is; with ``begun_since``, of the calls that began since then.

        A Redis that was emptied gets back what workers still have in hand, the records of calls
        before the test among it.
        """
        if begun_since is None:
            (only,) = self.wait_for_cdrs(1)
            return only
        found = Cdr.objects.filter(started_at__gte=begun_since)
        wait_for(
            lambda: found.exists() and not self.live_calls(),
            timeout_s=15,
            failure=lambda: f"No CDR since {begun_since}; live: {self.live_calls()}",
        )
        (only,) = found
        return only

    def restart_all(self) -> None:
        """Start what does not run, and wait until it works."""
        for name in self.stack.names:
            if not self.stack.running(name):
                self.stack.restart(name)
        self.stack.wait_ready(self.asterisk)

    @contextmanager
    def second_bridge(self) -> Iterator[Stack]:
        """Another listener for the same application, beside the first."""
        with Stack(self._folder, self._environment, only=["bridge"]) as second:
            yield second

    @contextmanager
    def beside(self, only: list[str], settings: dict[str, str]) -> Iterator[Stack]:
        """Processes of another kind beside those that run, with these settings."""
        with Stack(self._folder, self._environment | settings, only=only) as stack:
            yield stack

    def wait_for_log(self, name: str, text: str) -> None:
        """Wait until a process has logged this."""
        wait_for(
            lambda: text in self.stack.log(name),
            timeout_s=10,
            failure=lambda: f"{name} did not log {text!r}:\n{self.stack.log(name)[-2000:]}",
        )

    def wait_until_ended(self, name: str) -> None:
        """Wait until a process has ended by itself."""
        wait_for(
            lambda: not self.stack.running(name),
            timeout_s=10,
            failure=lambda: f"{name} still runs:\n{self.stack.log(name)[-2000:]}",
        )

    def live_calls(self) -> list[bytes]:
        return self.redis.zrange("ringmaster:attend", 0, -1)

    def assert_nothing_left(self) -> None:
        """Asterisk holds no channel and no bridge, Redis nothing but what is meant to stay."""
        wait_for(
            lambda: not self.asterisk.leftovers() and not self.leftovers(),
            timeout_s=10,
            failure=lambda: f"Left over: {self.asterisk.leftovers()} {self.leftovers()}",
        )

    def leftovers(self) -> list[bytes]:
        """Keys in Redis that belong to calls that are over, tombstones apart."""
        keys = [key for key in self.redis.scan_iter() if not key.startswith(STAYS)]
        waiting = [b"ringmaster:cdrs"] if self.redis.xlen("ringmaster:cdrs") else []
        return [key for key in keys if not self._is_tombstone(key)] + waiting

    def _is_tombstone(self, key: bytes) -> bool:
        """Whether this only remembers a call that is over, or one that a limit refused."""
        if self.redis.type(key) != b"hash":
            return False
        fields = set(self.redis.hkeys(key))
        refused = key.startswith(b"ringmaster:limit:call:") and fields == {b"attempt", b"reply"}
        return refused or fields == {b"over"}

    def forget_counts(self) -> None:
        """Begin with limits of which nothing is used, and trunks of which nothing is known."""
        for key in self.redis.scan_iter():
            if key.startswith(COUNTS):
                self.redis.delete(key)


@pytest.fixture(scope="package")
def _stack(
    _one_asterisk: Asterisk,
    redis_url: str,
    django_db_setup: None,
    django_db_blocker: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("processes")
    with Stack(folder, _environment(_one_asterisk)) as stack:
        stack.wait_ready(_one_asterisk)
        yield stack


def _environment(asterisk: Asterisk) -> dict[str, str]:
    return {"ARI_NODES": asterisk.ari_nodes, "DATABASE_URL": _test_database_url()}


def _test_database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        pytest.skip("the whole product on SQLite is what `make demo` runs")
    return (
        f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:"
        f"{database['PORT']}/{database['NAME']}"
    )


@pytest.fixture
def ringmaster(
    transactional_db: None, _stack: Stack, asterisk: Asterisk, redis_url: str, tmp_path: Path
) -> Iterator[Ringmaster]:
    """Ringmaster, running, without accounts, routes and CDRs; leaves nothing behind."""
    assert redis_url == settings.REDIS_URL
    with redis.Redis.from_url(redis_url) as client:
        running = Ringmaster(_stack, asterisk, client, tmp_path)
        running.restart_all()
        running.forget_counts()
        config_version.bump()
        yield running
        running.assert_nothing_left()
    for name in _stack.names:
        log = _stack.log(name)
        assert "Traceback" not in log, f"{name} logged a fault:\n{log[-4000:]}"
