"""Programs of the system that the lab needs, installed with apt where that is possible."""

import contextlib
import fcntl
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from tests.lab.errors import LabError

console = Console(stderr=True)

# Where only root writes, and one for the whole machine: apt is, too.
APT_LOCK = Path("/run/ringmaster-lab-apt.lock")
OTHERS_S = 600
"""How long apt waits for an apt that is not ours, such as a machine's own upgrade, in seconds."""


def run_visibly(
    what: str,
    command: list[str],
    *,
    env: dict[str, str] | None = None,
    may_be_stopped: bool = False,
) -> None:
    """Run a command of some length with a line that says so and how far it is.

    When this process is told to end meanwhile, the command is told to end too, with all its
    children, if it ``may_be_stopped``; else it is waited for, as a package half installed is in
    the way of every later installation. Raises LabError with the last lines of the output when the
    command fails.
    """
    with (
        console.status(what) as status,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            # Ctrl-C reaches a terminal's whole process group; what it does here is decided below.
            start_new_session=True,
        ) as process,
        _ended_with_us(process, may_be_stopped),
    ):
        if not console.is_terminal:
            console.print(f"{what} …")
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            lines = [*lines[-14:], line.rstrip()]
            status.update(f"{what}  [dim]{line.strip()[:80]}[/dim]")
    if process.returncode:
        tail = "\n  ".join(lines)
        raise LabError(f"{what} failed (exit code {process.returncode}):\n  {tail}")


@contextlib.contextmanager
def _ended_with_us(process: "subprocess.Popen[str]", may_be_stopped: bool) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if may_be_stopped:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        # Reading on: a pipe closed early would end the command in the middle of its work.
        process.communicate()
        raise


@functools.cache
def _apt_lists_are_fresh() -> bool:
    run_visibly("Reading the package lists", ["apt-get", "update", "-q"])
    return True


def need(found: Callable[[], bool], *packages: str, purpose: str) -> None:
    """Make sure ``found()`` is true, by installing ``packages`` when root may.

    Raises LabError with the sentence what to install when that is not possible.
    """
    if found():
        return
    names = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LabError(f"{purpose} is missing. Install it (on Debian: apt-get install {names}).")
    with locked(APT_LOCK):
        # Tests run side by side: another process may have brought it meanwhile.
        if not found():
            _install(packages)
    if not found():
        raise LabError(f"{purpose} is still missing after installing {names}.")


def _install(packages: Sequence[str]) -> None:
    _apt_lists_are_fresh()
    run_visibly(
        f"Installing {' '.join(packages)}",
        [
            *("apt-get", "install", "-y", "-q", "--no-install-recommends"),
            *("-o", f"DPkg::Lock::Timeout={OTHERS_S}", *packages),
        ],
        env={"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},
    )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def need_program(program: str, *packages: str, purpose: str) -> str:
    """The path of ``program``, installed from ``packages`` if need be; raises LabError."""
    need(lambda: shutil.which(program) is not None, *packages, purpose=purpose)
    path = shutil.which(program)
    assert path is not None
    return path
