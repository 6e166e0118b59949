"""A real Asterisk for tests, the demo and the benchmark.

    with Asterisk() as asterisk:
        asterisk.ari_url          # http://ringmaster:<password>@127.0.0.1:<port>
        asterisk.rest("GET", "channels")

From a terminal: ``python -m tests.lab.asterisk up`` runs one until Ctrl-C or
``python -m tests.lab.asterisk down``.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab import asterisk_config, asterisk_root
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.packages import console
from tests.lab.ports import LOOPBACK, take_slot
from tests.lab.processes import Child
from tests.lab.waiting import wait_for

START_TIMEOUT_S = 60.0
ARI_USER = "ringmaster"
ARI_APP = "ringmaster"
PORTS_FILE = REPOSITORY / ".lab" / "asterisk.json"
"""Where ``up`` writes what is running, and ``down`` looks."""


class Asterisk:
    """One Asterisk with its own ports, folders, configuration and ARI password.

    Making one finds or builds the program (see asterisk_root.find) and takes a block of ports;
    both raise LabError. It can be started, stopped and killed any number of times, and keeps its
    ports. ``close()`` gives them back.
    """

    def __init__(
        self, *, node: str = "lab", prepare: Callable[[Path, str], None] | None = None
    ) -> None:
        """``prepare`` may change the configuration before a start: it is given its folder, and
        the name by which Asterisk knows that folder."""
        self.node = node
        self._prepare = prepare
        self._installation = asterisk_root.find()
        self._slot = take_slot()
        self.password = secrets.token_urlsafe(24)
        self.sip_port = self._slot.sip
        self.http_port = self._slot.http
        self.carrier_ports = dict(zip(("carrier-a", "carrier-b"), self._slot.carriers, strict=True))
        # As Asterisk sees it; one folder for each block of ports, which nobody else has.
        self._home = (
            str(REPOSITORY / ".lab" / f"asterisk-{self._slot.number}")
            if self._installation.root == Path("/")
            else f"/srv/ringmaster-lab-{self._slot.number}"
        )
        self.folder = self._installation.outside(self._home)
        self._child: Child | None = None

    @property
    def ari_base(self) -> str:
        """``http://127.0.0.1:<port>``, without the credentials."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def ari_url(self) -> str:
        """``http://<user>:<password>@127.0.0.1:<port>``, as in ARI_NODES."""
        return f"http://{ARI_USER}:{self.password}@{LOOPBACK}:{self.http_port}"

    @property
    def ari_nodes(self) -> str:
        """The value of ARI_NODES that names this Asterisk alone."""
        return f"{self.node}={self.ari_url}"

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int:
        """Its process id; raises LabError when it does not run."""
        if self._child is None:
            raise LabError("Asterisk is not running: start() it first.")
        return self._child.pid

    @property
    def log(self) -> str:
        """Everything it has logged."""
        return (self.folder / "log" / "messages").read_text(errors="replace")

    def start(self) -> "Asterisk":
        """Start it and wait until SIP and ARI answer; raises LabError with its log if not."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._write_configuration()
        child = Child(
            "Asterisk",
            [*self._command(), "-f", "-n"],
            self.folder / "console.log",
            env={**os.environ, "HOME": "/", "LC_ALL": "C"},
        )
        self._child = child
        status = (
            console.status("Starting Asterisk") if console.is_terminal else contextlib.nullcontext()
        )
        with status:
            wait_for(
                lambda: not child.running or self._ready(),
                timeout_s=START_TIMEOUT_S,
                failure=lambda: self._failure(f"is not ready after {START_TIMEOUT_S:g} s"),
                poll_s=0.05,
            )
        if not child.running:
            raise LabError(self._failure(f"ended at its start (exit code {child.wait()})"))
        return self

    def stop(self) -> None:
        """End it at once, calls or not; a second call does nothing."""
        if self._child is not None:
            # Asterisk 22.10.1 that has refused a create with 409 does not end by itself.
            self._child.stop(grace_s=3)
            self._child = None

    def kill(self) -> None:
        """``kill -9``, as a crash."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def close(self) -> None:
        """Stop it, remove its folder and give its ports back."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._slot.release()

    def __enter__(self) -> "Asterisk":
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def cli(self, command: str) -> str:
        """What a command of Asterisk's console prints; raises LabError when it cannot be asked."""
        done = subprocess.run(
            [*self._command(), "-r", "-x", command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
        if done.returncode:
            raise LabError(f"Asterisk did not take '{command}': {done.stdout}{done.stderr}".strip())
        return done.stdout

    def rest(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        timeout_s: float = 10.0,
        **params: str | int,
    ) -> tuple[int, Any]:
        """One ARI request: the HTTP status, and the decoded JSON, other text, or None for nothing.

        ``path`` is what follows ``/ari/``, such as ``channels``; ``params`` is the query. A status
        above 399 is returned, not raised; raises OSError when there is no answer at all.
        """
        url = f"{self.ari_base}/ari/{path}"
        if params:
            url += "?" + urllib.parse.urlencode(params)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)  # noqa: S310
        request.add_header("Content-Type", "application/json")
        manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
        manager.add_password(None, self.ari_base, ARI_USER, self.password, is_authenticated=True)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(manager)
        )
        try:
            with opener.open(request, timeout=timeout_s) as answer:
                status, kind, text = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, kind, text = error.code, error.headers, error.read()
        if kind.get_content_type() != "application/json":
            return status, text.decode(errors="replace") or None
        return status, json.loads(text)

    def leftovers(self) -> list[str]:
        """Ids of every channel and bridge that is up now; empty when no call is."""
        found = []
        for kind in ("channels", "bridges"):
            status, listed = self.rest("GET", kind)
            if status != 200:
                raise LabError(f"Asterisk answered {status} to GET /{kind}.")
            found += [item["id"] for item in listed]
        return found

    def wait_until_empty(self, timeout_s: float = 10.0) -> None:
        """Wait until no channel and no bridge is left; raises LabError naming those that are."""
        wait_for(
            lambda: not self.leftovers(),
            timeout_s=timeout_s,
            failure=lambda: f"Asterisk still holds {', '.join(self.leftovers())}.",
        )

    def wait_until_no_channel(self, timeout_s: float = 10.0) -> None:
        """Wait until there is no channel, bridges apart; raises LabError saying what is there."""
        wait_for(
            lambda: not self.rest("GET", "channels")[1],
            timeout_s=timeout_s,
            failure=lambda: f"Asterisk still has {self.leftovers()}.",
        )

    def wait_until_callers_left(self, timeout_s: float = 10.0) -> None:
        """Wait until no caller's channel is left, though channels to callees may be."""
        wait_for(
            lambda: not any(each["name"].startswith("PJSIP/alice") for each in self._channels()),
            timeout_s=timeout_s,
            failure=lambda: f"Callers are still there: {self.leftovers()}.",
        )

    def _channels(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.rest("GET", "channels")[1]
        return listed

    def has_app(self, name: str = ARI_APP) -> bool:
        """Whether an ARI application of this name is connected."""
        status, apps = self.rest("GET", "applications")
        return status == 200 and any(app["name"] == name for app in apps)

    def _command(self) -> list[str]:
        program = self._installation
        return [*program.prefix, program.program, "-C", f"{self._home}/etc/asterisk.conf"]

    def _ready(self) -> bool:
        try:
            status, _ = self.rest("GET", "asterisk/ping", timeout_s=2)
            return status == 200 and "fully booted" in self.cli("core waitfullybooted")
        except (OSError, LabError):
            return False

    def _write_configuration(self) -> None:
        for name in ("etc", "run", "log", "spool", "db", "cache"):
            (self.folder / name).mkdir(parents=True)
        directories = self._installation.default_directories() | {
            "astetcdir": f"{self._home}/etc",
            "astrundir": f"{self._home}/run",
            "astlogdir": f"{self._home}/log",
            "astspooldir": f"{self._home}/spool",
            "astdbdir": f"{self._home}/db",
            "astcachedir": f"{self._home}/cache",
        }
        first_rtp, last_rtp = self._slot.rtp
        asterisk_config.write(
            self.folder / "etc",
            [
                ("http.conf", "general", "bindport", str(self.http_port)),
                ("ari.conf", ARI_USER, "password", self.password),
                ("pjsip.conf", "transport-udp", "bind", f"{LOOPBACK}:{self.sip_port}"),
                ("rtp.conf", "general", "rtpstart", str(first_rtp)),
                ("rtp.conf", "general", "rtpend", str(last_rtp)),
                ("asterisk.conf", "options", "systemname", self.node),
                ("asterisk.conf", "options", "entityid", f"02:00:00:00:00:{self._slot.number:02x}"),
            ],
            {
                "SIP_PORT": self.sip_port,
                "CARRIER_A_PORT": self.carrier_ports["carrier-a"],
                "CARRIER_B_PORT": self.carrier_ports["carrier-b"],
            },
            directories,
        )
        if self._prepare is not None:
            self._prepare(self.folder / "etc", f"{self._home}/etc")

    def _failure(self, what: str) -> str:
        shown = [f"Asterisk {what}."]
        for path in (self.folder / "console.log", self.folder / "log" / "messages"):
            if path.exists():
                shown += path.read_text(errors="replace").splitlines()[-12:]
        return "\n  ".join(shown)


def _up(ports_file: Path) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Asterisk() as asterisk:
        # Only now: children inherit the mask, and Asterisk is ended by these signals too.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        ports_file.parent.mkdir(parents=True, exist_ok=True)
        ports_file.touch(mode=0o600)
        facts = {
            "pid": os.getpid(),
            "asterisk_pid": asterisk.pid,
            "ari_nodes": asterisk.ari_nodes,
            "ari_url": asterisk.ari_url,
            "sip_port": asterisk.sip_port,
            "carrier_ports": asterisk.carrier_ports,
            "folder": str(asterisk.folder),
        }
        ports_file.write_text(json.dumps(facts, indent=2) + "\n")
        console.print(f"Asterisk is up: SIP udp:{LOOPBACK}:{asterisk.sip_port}. See {ports_file}.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        ports_file.unlink(missing_ok=True)
    console.print("Asterisk is down.")


def _down(ports_file: Path) -> None:
    if not ports_file.exists():
        raise LabError(f"No Asterisk was brought up with {ports_file}.")
    pid = json.loads(ports_file.read_text())["pid"]
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        wait_for(
            lambda: not ports_file.exists(),
            timeout_s=30,
            failure=lambda: f"Process {pid} has not ended after 30 s.",
        )
    ports_file.unlink(missing_ok=True)


def main() -> None:
    """``up``: run until Ctrl-C or ``down``."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.asterisk", description=main.__doc__)
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("--ports-file", type=Path, default=PORTS_FILE)
    options = parser.parse_args()
    try:
        {"up": _up, "down": _down}[options.action](options.ports_file)
    except LabError as error:
        console.print(str(error), markup=False, style="red")
        sys.exit(1)


if __name__ == "__main__":
    main()
