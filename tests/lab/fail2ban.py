"""Debian's fail2ban: whom a filter finds in the lines of a log, and the daemon itself."""

import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.packages import need, need_program
from tests.lab.processes import Child
from tests.lab.waiting import wait_for


def banned(lines: str, filter_file: str | Path, folder: Path) -> list[str]:
    """The addresses of the lines that count, in order, one for each.

    ``filter_file`` is a path, or the name of one of fail2ban's own. Raises LabError where it cannot
    be had.
    """
    program = need_program("fail2ban-regex", "fail2ban", purpose="fail2ban")
    log = folder / "read-by-fail2ban.log"
    log.write_text(lines)
    done = subprocess.run(
        [program, "--out", "ip", str(log), str(filter_file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "ERROR" not in done.stderr, done.stderr
    return re.findall(r"^[0-9a-f.:]+$", done.stdout, flags=re.M)


WRITER = Path("/lib/systemd/systemd-journal-remote")
DEFAULTS = Path("/etc/fail2ban")
"""What the package brings: its own filters and jails, before anybody changes them."""
ACTION = """[Definition]
actionban = echo "ban <name> <ip>" >> {told}
actionunban = echo "unban <name> <ip>" >> {told}
"""
"""In the place of a firewall: whoever is banned stands in a file."""
HERE = """[DEFAULT]
banaction = lab
banaction_allports = lab
# Attackers of a test are other addresses of this machine.
ignoreself = false
ignoreip =
"""


def journal(folder: Path, units: Mapping[str, str]) -> Path:
    """A journal of systemd's with these lines, as each unit's process wrote them just now.

    Raises LabError where it cannot be made, or be read by fail2ban.
    """
    need(WRITER.exists, "systemd-journal-remote", purpose="systemd-journal-remote")
    need(_reads_journals, "python3-systemd", purpose="python3-systemd")
    text, at_us = "", time.time_ns() // 1000
    for unit, lines in units.items():
        for line in lines.splitlines():
            at_us += 1
            fields = {
                "__REALTIME_TIMESTAMP": at_us,
                "__MONOTONIC_TIMESTAMP": at_us,
                "_BOOT_ID": "0123456789abcdef0123456789abcdef",
                "_SYSTEMD_UNIT": unit,
                "_HOSTNAME": "switch",
                "SYSLOG_IDENTIFIER": "gunicorn",
                "_PID": 7,
                "PRIORITY": 6,
                "MESSAGE": line,
            }
            text += "".join(f"{name}={value}\n" for name, value in fields.items()) + "\n"
    export, made = folder / "journal.export", folder / "switch.journal"
    export.write_text(text)
    done = subprocess.run([WRITER, "-o", made, export], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def _reads_journals() -> bool:
    found = ["/usr/bin/python3", "-c", "import systemd.journal"]
    return subprocess.run(found, capture_output=True, check=False).returncode == 0


class Daemon:
    """fail2ban-server with the package's configuration, a folder of ours laid over it, and an
    action that only writes down whom it bans.

        with Daemon(folder, ours, {"asterisk": {"logpath": log}}) as daemon:
            daemon.wait_for_ban("asterisk", "127.0.0.2")

    ``ours`` has a filter.d and a jail.d, as docs/install/fail2ban; ``changes`` are options of jails
    that a test has elsewhere, such as the path of a log. Raises LabError where it cannot be had.
    """

    def __init__(
        self, folder: Path, ours: Path, changes: Mapping[str, Mapping[str, object]]
    ) -> None:
        self._program = need_program("fail2ban-server", "fail2ban", purpose="fail2ban")
        self._client = need_program("fail2ban-client", "fail2ban", purpose="fail2ban")
        self._etc, self._told = folder / "etc", folder / "banned"
        self._folder = folder
        self._child: Child | None = None
        shutil.copytree(DEFAULTS, self._etc)
        # Debian's own jail would look for a log of sshd.
        (self._etc / "jail.d" / "defaults-debian.conf").unlink(missing_ok=True)
        shutil.copytree(ours, self._etc, dirs_exist_ok=True)
        (self._etc / "action.d" / "lab.conf").write_text(ACTION.format(told=self._told))
        lines = [HERE]
        for jail, options in changes.items():
            lines += [f"[{jail}]", *(f"{name} = {value}" for name, value in options.items())]
        (self._etc / "jail.local").write_text("\n".join(lines) + "\n")
        self._told.touch()

    def __enter__(self) -> "Daemon":
        command = [
            *(self._program, "-f", "-x", "--loglevel", "INFO", "--logtarget", "stdout"),
            *self._here(),
            "start",
        ]
        # Its database is in /var/lib otherwise, and would remember the bans of other tests.
        with (self._etc / "fail2ban.local").open("w") as local:
            local.write("[DEFAULT]\ndbfile = None\n")
        child = Child("fail2ban", command, self._folder / "fail2ban.log")
        self._child = child
        wait_for(
            lambda: not child.running or self._ask("ping") == 0,
            timeout_s=30,
            failure=lambda: f"fail2ban does not answer:\n{child.log_tail()}",
            poll_s=0.2,
        )
        if not child.running:
            raise LabError(f"fail2ban ended at its start:\n{child.log_tail()}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.stop()

    def log(self) -> str:
        """What the daemon said of itself."""
        return (self._folder / "fail2ban.log").read_text()

    def bans(self) -> list[tuple[str, str]]:
        """(jail, address) of every ban, in order. Jails with an action for each transport, as that
        of Asterisk is, ban by both; that counts as one."""
        lines = map(str.split, self._told.read_text().splitlines())
        found = [(re.sub("-(tcp|udp)$", "", jail), ip) for what, jail, ip in lines if what == "ban"]
        return list(dict.fromkeys(found))

    def wait_for_ban(self, jail: str, address: str) -> None:
        """Wait until the jail has banned the address; raises LabError with what it said instead."""
        wait_for(
            lambda: (jail, address) in self.bans(),
            timeout_s=30,
            failure=lambda: f"{address} is not banned by {jail}: {self.bans()}\n{self.log()}",
            poll_s=0.1,
        )

    def wait_until_found(self, jail: str, address: str, count: int) -> None:
        """Wait until the jail has counted so many failures of the address; raises LabError."""
        wait_for(
            lambda: self.log().count(f"[{jail}] Found {address} ") >= count,
            timeout_s=30,
            failure=lambda: f"{count} failures of {address} are not found:\n{self.log()}",
            poll_s=0.1,
        )

    def _ask(self, *words: str) -> int:
        done = subprocess.run([self._client, *self._here(), *words], capture_output=True)
        return done.returncode

    def _here(self) -> tuple[str, ...]:
        socket, pid = self._folder / "fail2ban.sock", self._folder / "fail2ban.pid"
        return ("-c", str(self._etc), "-s", str(socket), "-p", str(pid))
