"""A Debian 12 of its own with a running systemd, to install a package into as on a real machine.

debootstrap makes it in ``.lab``, once (about 300 MB and a minute); each use is a copy, booted by
systemd-nspawn. It shares this machine's network, so that what runs in it reaches the lab's Redis
and Asterisk on loopback, and nothing else of this machine.
"""

import shutil
import subprocess
from pathlib import Path
from types import TracebackType

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.asterisk_root import debian_mirror, seal
from tests.lab.errors import LabError
from tests.lab.packages import locked, need_program, run_visibly
from tests.lab.processes import Child, temporary_folder
from tests.lab.waiting import wait_for

SUITE = "bookworm"
PACKAGES = ("python3", "adduser", "systemd", "systemd-sysv", "dbus")
"""What the package depends on, and what makes a machine of it."""
BOOT_TIMEOUT_S = 60.0


def pristine() -> Path:
    """The folder with the Debian that is copied, made now if need be. Raises LabError."""
    root = REPOSITORY / ".lab" / "debian-root"
    root.parent.mkdir(parents=True, exist_ok=True)
    with locked(root.with_name(root.name + ".lock")):
        if not root.exists():
            _build(root)
    return root


def _build(root: Path) -> None:
    debootstrap = need_program("debootstrap", "debootstrap", purpose="debootstrap")
    building = root.with_name(root.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    run_visibly(
        f"Making a Debian {SUITE} to install into (once, about a minute)",
        [
            *(debootstrap, "--variant=minbase", f"--include={','.join(PACKAGES)}"),
            *(SUITE, str(building), debian_mirror()),
        ],
        may_be_stopped=True,
    )
    shutil.rmtree(building / "var/cache/apt/archives", ignore_errors=True)
    seal(building)
    building.rename(root)


class BootedDebian:
    """A copy of it, up and running; ``with`` it, and ``run`` commands in it as root."""

    def __init__(self) -> None:
        nspawn = need_program("systemd-nspawn", "systemd-container", purpose="systemd-nspawn")
        self.folder = temporary_folder("debian")
        self.root = self.folder / "root"
        subprocess.run(["cp", "-a", str(pristine()), str(self.root)], check=True)
        self._nspawn = Child(
            "systemd-nspawn",
            [
                *(nspawn, "--quiet", "--boot", "--register=no", "--keep-unit"),
                *("--console=pipe", f"--directory={self.root}"),
            ],
            self.folder / "boot.log",
        )
        try:
            wait_for(
                self._is_up,
                timeout_s=BOOT_TIMEOUT_S,
                failure=lambda: f"Debian did not boot:\n{self._nspawn.log_tail(30)}",
                poll_s=0.1,
            )
        except BaseException:
            self._nspawn.kill()
            raise

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in it; gives what it wrote. Raises LabError with that when it fails."""
        done = subprocess.run(
            [
                *("nsenter", f"--target={self._init()}"),
                *("--mount", "--uts", "--ipc", "--pid", "--root", "--wd"),
                *("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise LabError(f"{' '.join(command)} failed in Debian:\n{done.stdout}")
        return done.stdout

    def outside(self, path: str) -> Path:
        """The path as this process sees it."""
        return self.root / path.lstrip("/")

    def stop(self) -> None:
        """Shut it down, and forget all that was in it."""
        self._nspawn.stop(grace_s=30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "BootedDebian":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _init(self) -> str:
        """Its process 1, by its number outside."""
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text()
        if not children.split():
            raise LabError(f"Debian is not up:\n{self._nspawn.log_tail(30)}")
        return children.split()[0]

    def _is_up(self) -> bool:
        if not self._nspawn.running:
            raise LabError(f"Debian ended at its start:\n{self._nspawn.log_tail(30)}")
        try:
            state = self.run("systemctl", "is-system-running", check=False).strip()
        except LabError:
            return False
        # "degraded": a unit that wants a kernel of its own has failed, which is nothing to us.
        return state in ("running", "degraded")
