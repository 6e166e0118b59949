"""Where Asterisk 22 comes from: installed on this machine, or a Debian of its own in a folder.

Debian 12 has no asterisk package; Debian forky has 22 LTS. debootstrap puts a minimal forky into a
folder, once (about 600 MB and half a minute), and Asterisk runs chrooted there.
"""

import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.packages import locked, need_program, run_visibly

ROOT_SETTING = "RINGMASTER_LAB_ASTERISK_ROOT"
MIRROR_SETTING = "RINGMASTER_LAB_DEBIAN_MIRROR"
SUITE = "forky"
OLDEST_VERSION = 22
PACKAGES = ("asterisk", "asterisk-core-sounds-en-gsm")


@dataclass(frozen=True)
class Installation:
    """An Asterisk that can be run. ``root`` is the folder it is chrooted to, ``/`` for none."""

    root: Path
    program: str

    @property
    def prefix(self) -> list[str]:
        """What stands before the program on the command line."""
        return [] if self.root == Path("/") else ["chroot", str(self.root)]

    def outside(self, path: str) -> Path:
        """The path, as this process sees it, of a path as Asterisk sees it."""
        return self.root / path.lstrip("/")

    def default_directories(self) -> dict[str, str]:
        """asterisk.conf's [directories] as the package has them, such as astmoddir."""
        text = self.outside("/etc/asterisk/asterisk.conf").read_text()
        return dict(re.findall(r"^(ast\w+dir)\s*=>\s*(\S+)", text, re.M))


def find() -> Installation:
    """The installed Asterisk, else the one in its own root, built now if need be.

    ``RINGMASTER_LAB_ASTERISK_ROOT`` names another folder for that root. Raises LabError.
    """
    installed = shutil.which("asterisk")
    if installed and _version(installed) >= OLDEST_VERSION:
        return Installation(Path("/"), installed)
    if os.geteuid() != 0:
        raise LabError(
            f"There is no Asterisk {OLDEST_VERSION} or newer on this machine, and only root can "
            "make one in a folder. Install asterisk, or run this as root."
        )
    root = Path(os.environ.get(ROOT_SETTING) or REPOSITORY / ".lab" / "asterisk-root")
    root.parent.mkdir(parents=True, exist_ok=True)
    with locked(root.with_name(root.name + ".lock")):
        if not (root / "usr/sbin/asterisk").exists():
            _build(root)
    _make_names_resolve(root)
    return Installation(root.resolve(), "/usr/sbin/asterisk")


def _version(program: str) -> int:
    shown = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"Asterisk (\d+)", shown)
    return int(found[1]) if found else 0


def _build(root: Path) -> None:
    """Build under another name and rename, so that a root which is there is complete."""
    debootstrap = need_program("debootstrap", "debootstrap", purpose="debootstrap")
    building = root.with_name(root.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    run_visibly(
        f"Making a Debian {SUITE} for Asterisk (once, about half a minute)",
        [
            *(debootstrap, "--variant=minbase", "--include=ca-certificates"),
            # Debian 12's debootstrap has no script for forky; sid's serves.
            *(SUITE, str(building), debian_mirror(), "/usr/share/debootstrap/scripts/sid"),
        ],
        may_be_stopped=True,
    )
    seal(building)
    run_visibly(
        "Installing Asterisk into it",
        [
            *("chroot", str(building), "apt-get", "install", "-y", "-q"),
            *("--no-install-recommends", *PACKAGES),
        ],
        env={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        may_be_stopped=True,
    )
    shutil.rmtree(building / "var/cache/apt/archives", ignore_errors=True)
    if not (building / "usr/sbin/asterisk").exists():
        raise LabError(f"Installing {' '.join(PACKAGES)} from Debian {SUITE} gave no asterisk.")
    building.rename(root)


def seal(root: Path) -> None:
    """No package starts its service in there, on whatever port of this machine."""
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)


def debian_mirror() -> str:
    """The Debian mirror of this machine's own package sources."""
    named = os.environ.get(MIRROR_SETTING)
    if named:
        return named
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    text = "\n".join(path.read_text() for path in sources if path.is_file())
    for url in re.findall(r"^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(https?://\S+)", text, re.M):
        if url.rstrip("/").endswith("/debian"):
            return str(url)
    raise LabError(
        f"No Debian mirror stands in /etc/apt. Name one: {MIRROR_SETTING}=http://<host>/debian"
    )


def _make_names_resolve(root: Path) -> None:
    """Let every name Asterisk asks for be answered from its own hosts file.

    Without it each call waits for seconds in DNS: pjproject asks for its own host name and the
    resolver's trust anchor for a root server's.
    """
    hosts = root / "etc/hosts"
    line = f"127.0.0.1 localhost {socket.gethostname()} A.ROOT-SERVERS.NET\n"
    if not hosts.exists() or hosts.read_text() != line:
        hosts.write_text(line)
    resolver = root / "etc/resolv.conf"
    if resolver.is_symlink() or not resolver.exists() or resolver.read_text():
        resolver.unlink(missing_ok=True)
        resolver.write_text("")
