"""Everything the demo needs, set up and taken down again.

``.lab/demo.sqlite3`` and ``.lab/secret`` stay from run to run, so that the admin shows history;
all else is made anew. The product's processes get all their settings from here: whatever ``.env``
or the shell say is meant for another Ringmaster.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import services
from tests.lab.asterisk import ARI_APP, Asterisk
from tests.lab.asterisk_config import without_careless_callers
from tests.lab.demo import scenario
from tests.lab.errors import LabError
from tests.lab.packages import console
from tests.lab.ports import LOOPBACK
from tests.lab.sip import Caller, Carrier
from tests.lab.stack import Stack, procfile

NODE = "demo"
ADMIN = "admin"
WEB_PORTS = range(8000, 8100)


@dataclass
class Stage:
    """What is running."""

    asterisk: Asterisk
    stack: Stack
    caller: Caller
    redis_url: str
    web_port: int
    password: str = field(repr=False)
    """Of the admin user, for this run."""

    @property
    def admin_url(self) -> str:
        """Where the admin is."""
        return f"http://{LOOPBACK}:{self.web_port}/admin/"


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Set everything up, with visible progress, and take it down at the end, however that comes.

    ``folder`` is where the database, the secret and the logs stay. Raises LabError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as things:
        things.enter_context(_alone(folder / "demo.lock"))
        with step("Redis"):
            redis_url = things.enter_context(services.redis_url())
        asterisk = Asterisk(node=NODE, prepare=without_careless_callers)
        things.callback(asterisk.close)
        caller = Caller(asterisk.sip_port)
        with step("Asterisk"):
            asterisk.start()
        web_port = _web_port()
        settings = _settings(folder, redis_url, asterisk.ari_nodes, web_port)
        password = secrets.token_urlsafe(9)
        with step("Database, accounts, trunks and routes"):
            _prepare_database(settings, password)
        logs = folder / "demo-logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir()
        stack = Stack(logs, settings, only=procfile())
        with step(f"Ringmaster: {', '.join(stack.names)}"):
            things.callback(stack.stop)
            stack.start().wait_ready(asterisk)
        things.enter_context(Carrier(asterisk.carrier_ports["carrier-a"], ring_ms=scenario.RING_MS))
        yield Stage(asterisk, stack, caller, redis_url, web_port, password)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Show that something is being done, and how long it took when it is done."""
    began = time.monotonic()
    with contextlib.ExitStack() as shown:
        if console.is_terminal:
            shown.enter_context(console.status(f"{what} …"))
        else:
            console.print(f"{what} …")
        yield
    console.print(f"[green]✓[/green] {what} [dim]({time.monotonic() - began:.1f} s)[/dim]")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(
                f"A demo is running with {path.parent} already. Stop it with Ctrl-C first."
            ) from None
        yield


def _web_port() -> int:
    for port in WEB_PORTS:
        with socket.socket() as probe:
            # As gunicorn binds: connections that a former run closed are no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                return port
    raise LabError(
        f"No port from {WEB_PORTS[0]} to {WEB_PORTS[-1]} is free on {LOOPBACK} for the admin."
    )


def _settings(folder: Path, redis_url: str, ari_nodes: str, web_port: int) -> dict[str, str]:
    database = urllib.parse.quote(str(folder.resolve() / "demo.sqlite3"))
    return {
        "SECRET_KEY": _secret(folder / "secret"),
        "DEBUG": "false",
        "HTTPS": "false",
        "ALLOWED_HOSTS": f"localhost,{LOOPBACK}",
        "STATIC_ROOT": "",
        "LOG_LEVEL": "INFO",
        "DATABASE_URL": f"sqlite:///{database}",
        "REDIS_URL": redis_url,
        "LIMITS_REDIS_URL": redis_url,
        "CELERY_BROKER_URL": redis_url,
        "ARI_NODES": ari_nodes,
        "ARI_APP": ARI_APP,
        "CALLS_GATEWAY": "ari_bridge.gateway.AriGateway",
        "MAX_CALL_S": "7200",
        "LOCAL_CONTEXTS": "monkeys",
        "NEW_ACCOUNT_PREFIXES": "",
        "WEB_BIND": f"{LOOPBACK}:{web_port}",
        "DJANGO_SETTINGS_MODULE": "project.settings",
    }


def _secret(path: Path) -> str:
    """The key that signs the admin's sessions: made once, readable by its owner only."""
    with contextlib.suppress(FileExistsError):
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(made, "w") as file:
            file.write(secrets.token_urlsafe(50))
    text = path.read_text().strip()
    if not text:
        raise LabError(f"{path} is empty. Remove it; the next start makes a new one.")
    return text


def _prepare_database(settings: Mapping[str, str], password: str) -> None:
    """Make this process a Django of the same settings, and fill the database."""
    os.environ.update(settings)
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0, interactive=False)
    with transaction.atomic():
        user, _ = User.objects.get_or_create(username=ADMIN)
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
        _prepare_routes()


def _prepare_routes() -> None:
    from calls.models import Account, Route, Trunk

    for code, (name, max_call_s) in scenario.ACCOUNTS.items():
        facts: dict[str, object] = {
            "name": name,
            "enabled": True,
            "max_call_s": max_call_s,
            # The numbers that answer with tt-monkeys are too short to be telephone numbers.
            "short_codes": "112 882xxxx 883xxxx",
        }
        Account.objects.update_or_create(code=code, defaults=facts)
    for name, (dial_string, ring_timeout_s) in scenario.TRUNKS.items():
        facts = {
            "dial_string": dial_string,
            "enabled": True,
            "ring_timeout_s": ring_timeout_s,
            "strip_digits": 0,
            "add_prefix": "",
            "caller_id": "",
        }
        Trunk.objects.update_or_create(name=name, defaults=facts)
    for prefix, trunk in scenario.ROUTES.items():
        facts = {"action": Route.Action.ROUTE, "enabled": True, "note": "made by the demo"}
        route, _ = Route.objects.update_or_create(prefix=prefix, account=None, defaults=facts)
        route.targets.exclude(trunk__name=trunk).delete()
        route.targets.get_or_create(trunk=Trunk.objects.get(name=trunk))
