"""What chaos is done to: Asterisk, Redis, PostgreSQL, and a Ringmaster of several processes."""

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg2
import redis

from tests.lab.asterisk import Asterisk
from tests.lab.bench.product import environment_of, manage
from tests.lab.chaos.clocks import SteppedClock
from tests.lab.errors import LabError
from tests.lab.processes import temporary_folder
from tests.lab.services import PostgreSQL, Redis
from tests.lab.sip import Caller, Carrier
from tests.lab.stack import HERE, Checkout, Stack
from tests.lab.waiting import wait_for
from tests.lab.wire import Wire

CONFIGURE = """
from calls.models import Account, Limit, Route, RouteTarget, Trunk
Account.objects.create(code="demo", name="Demo")
trunk = Trunk.objects.create(name="a", dial_string="PJSIP/{number}@carrier-a", max_calls=900)
RouteTarget.objects.create(route=Route.objects.create(prefix="49"), trunk=trunk)
Limit.objects.create(scope="account", target="demo", metric="concurrent", value=900,
                     mode="enforce")
"""
RECORDS = "SELECT sip_call_id, disposition, integrity FROM cdr_cdr"
BALANCED = "Nothing is missing, double or rejected."
SETTLE_S = 60.0
LISTENS, STANDS_BY = "Listening to node", "stands by"


class Field:
    """Everything, running. Made by `field`."""

    def __init__(
        self,
        asterisk: Asterisk,
        server: Redis,
        database: PostgreSQL,
        wire: Wire,
        checkout: Checkout = HERE,
        limits_url: str = "",
    ) -> None:
        self.checkout = checkout
        self.asterisk = asterisk
        self.server = server
        self.database = database
        self.wire = wire
        self.clock: SteppedClock | None = None
        """That of the process which a row has given one of its own."""
        self.caller = Caller(asterisk.sip_port)
        self.redis = redis.Redis.from_url(server.url)
        self.environment = environment_of(server.url, database.url, asterisk.ari_nodes)
        # Whatever the environment of who runs this says.
        self.environment["CELERY_BROKER_URL"] = server.url
        self.environment["LIMITS_REDIS_URL"] = limits_url or server.url
        through = asterisk.ari_nodes.replace(f":{asterisk.http_port}", f":{wire.port}")
        # The workers' way to Asterisk is their own: only the listeners' is cut.
        listening = self.environment | {"ARI_NODES": through}
        self.bridges = [_stack(listening, "bridge", checkout=checkout) for _ in range(2)]
        self.workers = [
            _stack(self.environment, "calls", "records", checkout=checkout),
            _stack(self.environment, "calls", checkout=checkout),
        ]
        self.stacks = [*self.bridges, *self.workers]

    def start(self) -> None:
        """Migrate, configure, start every process and wait until it works."""
        for command in (
            ("migrate", "--verbosity", "0"),
            ("shell", "--no-imports", "--command", CONFIGURE),
        ):
            manage(self.environment, *command, checkout=self.checkout)
        self.restore()

    def restore(self) -> None:
        """Have everything run again, and one listener listen."""
        for stack in self.stacks:
            for name in stack.names:
                if not stack.running(name):
                    stack.restart(name)
        for stack in self.stacks:
            stack.wait_ready(self.asterisk)
        wait_for(
            lambda: self.listening is not None and self.standing_by is not None,
            timeout_s=30,
            failure=lambda: "Not one bridge listens and one stands by.",
        )

    @property
    def listening(self) -> Stack | None:
        """The stack whose bridge said last that it listens."""
        return next((each for each in self.bridges if _said_last(each) == LISTENS), None)

    @property
    def standing_by(self) -> Stack | None:
        """The stack whose bridge said last that it stands by."""
        return next((each for each in self.bridges if _said_last(each) == STANDS_BY), None)

    def settle(self) -> None:
        """Wait until nothing is under way: no channel, no call, no record; raises LabError."""
        wait_for(
            lambda: not self.leftovers() and not self.redis.xlen("ringmaster:cdrs"),
            timeout_s=SETTLE_S,
            failure=lambda: f"Left over: {', '.join(self.leftovers()[:10])}",
            poll_s=0.2,
        )

    def leftovers(self) -> list[str]:
        """What Asterisk still has, and what Redis has of calls besides tombstones."""
        left = self.asterisk.leftovers()
        live: Any = self.redis.zrange("ringmaster:attend", 0, -1)
        left += [call.decode() for call in live]
        left += [key.decode() for key in self.redis.scan_iter("ringmaster:mail:*", count=1000)]
        for key in self.redis.scan_iter("ringmaster:call:*", count=1000):
            if b"over" not in self.redis.hkeys(key):
                left.append(key.decode())
        return left

    def places_held(self) -> int:
        """Places among the limits that are held now; with no call up, each of them is leaked."""
        now_ms = int(time.time() * 1000)
        keys = self.redis.scan_iter("ringmaster:limit:concurrent:*", count=1000)
        return sum(int(self.redis.zcount(key, now_ms, "+inf")) for key in keys)

    def records(self) -> list[tuple[str, str, str]]:
        """Of each CDR the caller's SIP Call-ID, its disposition and its integrity."""
        with (
            contextlib.closing(psycopg2.connect(self.database.url)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(RECORDS)
            rows: list[tuple[str, str, str]] = cursor.fetchall()
        return rows

    def answered_ids(self) -> set[str]:
        """The call id of each CDR that says answered."""
        with (
            contextlib.closing(psycopg2.connect(self.database.url)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT call_id FROM cdr_cdr WHERE disposition = 'answered'")
            return {call for (call,) in cursor.fetchall()}

    def balance(self) -> str:
        """What the ledger says of all calls of today (UTC); the recovered ones are not listed."""
        try:
            lines = manage(self.environment, "ledger").splitlines()
        except LabError as error:
            lines = str(error).splitlines()
        return "\n".join(line for line in lines if not line.startswith("recovered:"))

    def back_by_a_second(self) -> None:
        """Redis dies, and comes back with what it had a second ago, as a promoted replica may."""
        kept = self.server.folder / "a second ago"
        shutil.copytree(self.server.folder / "appendonlydir", kept)
        time.sleep(1)
        self.server.kill()
        shutil.rmtree(self.server.folder / "appendonlydir")
        kept.rename(self.server.folder / "appendonlydir")
        self.server.start()

    def stop(self) -> None:
        """End every process of Ringmaster."""
        for stack in self.stacks:
            stack.stop()


def _stack(environment: Mapping[str, str], *what: str, checkout: Checkout) -> Stack:
    return Stack(temporary_folder("chaos"), environment, only=what, checkout=checkout)


def _said_last(stack: Stack) -> str:
    log = stack.log("bridge") if stack.running("bridge") else ""
    at = {what: log.rfind(what) for what in (LISTENS, STANDS_BY)}
    said = max(at, key=lambda what: at[what])
    return said if at[said] >= 0 else ""


@contextmanager
def field(checkout: Checkout = HERE, *, limits_url: str = "") -> Iterator[Field]:
    """Bring everything up from a checkout, and take it down at the end. Raises LabError.

    ``limits_url`` is the Redis of the limits, where that is one of its own.
    """
    with ExitStack() as stack:
        server = Redis()
        stack.callback(shutil.rmtree, server.folder, ignore_errors=True)
        stack.callback(server.stop)
        server.start()
        database = PostgreSQL(durable=False)
        stack.callback(shutil.rmtree, database.folder, ignore_errors=True)
        stack.callback(database.stop)
        database.start()
        asterisk = stack.enter_context(Asterisk())
        stack.enter_context(Carrier(asterisk.carrier_ports["carrier-a"]))
        wire = stack.enter_context(Wire(asterisk.http_port))
        made = Field(asterisk, server, database, wire, checkout, limits_url)
        stack.callback(made.stop)
        made.start()
        yield made
