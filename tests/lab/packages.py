"""Programs of the system that the lab needs, installed with apt where that is possible."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable

from rich.console import Console

from tests.lab.errors import LabError

console = Console(stderr=True)


def run_visibly(what: str, command: list[str], *, env: dict[str, str] | None = None) -> None:
    """Run a command of some length with a line that says so and how far it is.

    Raises LabError with the last lines of the output when it fails.
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
        ) as process,
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
    _apt_lists_are_fresh()
    run_visibly(
        f"Installing {names}",
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages],
        env={"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},
    )
    if not found():
        raise LabError(f"{purpose} is still missing after installing {names}.")


def need_program(program: str, *packages: str, purpose: str) -> str:
    """The path of ``program``, installed from ``packages`` if need be; raises LabError."""
    need(lambda: shutil.which(program) is not None, *packages, purpose=purpose)
    path = shutil.which(program)
    assert path is not None
    return path
