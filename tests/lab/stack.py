"""Ringmaster's own processes, started from the Procfile as its users start them.

    with Stack(folder, {"REDIS_URL": …, "ARI_NODES": …}) as stack:
        stack.wait_ready(asterisk)
        stack.kill("calls")
        stack.restart("calls")

The processes run with the Python (and the programs beside it) that runs this.
"""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from honcho.environ import parse_procfile

from tests.lab.asterisk import ARI_APP, Asterisk
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.processes import Child
from tests.lab.waiting import wait_for

READY_TIMEOUT_S = 30.0
READY_LINE = re.compile(r"\bready\.\s*$", re.M)
"""What every Celery worker logs when it takes tasks."""

LISTENING_LINE = re.compile(r"Listening at: http")
"""What gunicorn logs when it serves."""


@dataclass(frozen=True)
class Checkout:
    """A Ringmaster: where its code is, and the programs of its virtual environment."""

    folder: Path = REPOSITORY
    programs: Path = Path(sys.executable).parent


HERE = Checkout()


class Stack:
    """The Procfile's processes, or those named by ``only``.

    ``environment`` is laid over this process's own. Logs go to ``<folder>/<name>.log``. Whatever is
    started is started from ``checkout``, which may be another one later. Raises LabError when
    ``only`` names a process the Procfile has not.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        only: Iterable[str] = ("bridge", "calls", "records"),
        checkout: Checkout = HERE,
    ) -> None:
        self.folder = folder
        self.checkout = checkout
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._names = tuple(only)
        missing = set(only) - set(procfile(checkout))
        if missing:
            raise LabError(f"The Procfile has no process {', '.join(sorted(missing))}.")
        self._children: dict[str, Child] = {}

    @property
    def names(self) -> list[str]:
        """The processes of this stack, in the order they are started."""
        return list(self._names)

    def start(self) -> "Stack":
        """Start every process that is not running; does not wait until they are ready."""
        for name in self._names:
            if name not in self._children:
                self._start_one(name)
        return self

    def wait_ready(self, asterisk: Asterisk | None = None) -> None:
        """Wait until each process does its work; ``asterisk`` is the one the bridge is to join.

        Raises LabError with the process's log when it ends or is not ready in time.
        """
        for name in self._children:
            self.wait_one_ready(name, asterisk)

    def wait_one_ready(self, name: str, asterisk: Asterisk | None = None) -> None:
        """As wait_ready, for one process."""
        child, is_ready = self._child(name), self._readiness(name, asterisk)
        wait_for(
            lambda: not child.running or is_ready(),
            timeout_s=READY_TIMEOUT_S,
            failure=lambda: f"{name} is not ready after {READY_TIMEOUT_S:g} s:\n{child.log_tail()}",
            poll_s=0.05,
        )
        if not child.running:
            raise LabError(f"{name} ended at its start:\n{child.log_tail()}")

    def send(self, name: str, number: int) -> None:
        """Send a signal, such as SIGSTOP, to a process and all its children at once."""
        self._child(name).send_group(number)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a process and all its children by a signal, and wait until they are gone.

        Raises subprocess.TimeoutExpired when the signal does not end it.
        """
        child = self._child(name)
        child.send_group(number)
        child.wait(READY_TIMEOUT_S)
        child.kill()
        del self._children[name]

    def restart(self, name: str) -> None:
        """Start a process, after ending it in good order if it still runs."""
        child = self._children.pop(name, None)
        if child is not None:
            child.stop()
        self._start_one(name)

    @contextmanager
    def overlaid(self, environment: Mapping[str, str]) -> Iterator[None]:
        """Whatever is started in this block has ``environment`` over its own."""
        usual = self._environment
        self._environment = {**usual, **environment}
        try:
            yield
        finally:
            self._environment = usual

    def stop(self) -> dict[str, int]:
        """End every process in good order, all at the same time; gives their exit codes."""
        children, self._children = self._children, {}
        for child in children.values():
            child.ask_to_end()
        return {name: child.wait_or_kill(20) for name, child in children.items()}

    def log(self, name: str) -> str:
        """Everything a process has written."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def running(self, name: str) -> bool:
        """Whether a process is there."""
        return name in self._children and self._children[name].running

    def pid(self, name: str) -> int:
        """Process id of a running process."""
        return self._child(name).pid

    def cpu_seconds(self, name: str) -> float:
        """CPU time, user and system, of a process and its living children so far, in seconds."""
        return cpu_seconds(self.pid(name))

    def rss_bytes(self, name: str) -> int:
        """Resident memory of a process and its children, in bytes (shared pages count for each)."""
        return rss_bytes(self.pid(name))

    def __enter__(self) -> "Stack":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _child(self, name: str) -> Child:
        if name not in self._children:
            raise LabError(f"{name} is not running.")
        return self._children[name]

    def _start_one(self, name: str) -> None:
        log = self.folder / f"{name}.log"
        # Readiness is read from the log, so a restarted process begins a new one.
        if log.exists():
            log.rename(self.folder / f"{name}.{len(list(self.folder.glob(f'{name}*.log')))}.log")
        path = f"{self.checkout.programs}{os.pathsep}{os.environ.get('PATH', '')}"
        # The shell expands ${WEB_BIND:-…}; exec makes the process itself the child.
        self._children[name] = Child(
            name,
            ["/bin/sh", "-c", f"exec {procfile(self.checkout)[name]}"],
            log,
            env={**self._environment, "PATH": path},
            cwd=self.checkout.folder,
        )

    def _readiness(self, name: str, asterisk: Asterisk | None) -> Callable[[], bool]:
        if name == "bridge":
            if asterisk is None:
                raise LabError("Whether the bridge is ready can be seen on its Asterisk only.")
            app = self._environment.get("ARI_APP", ARI_APP)
            return lambda: asterisk.has_app(app)
        line = LISTENING_LINE if name == "web" else READY_LINE
        return lambda: line.search(self.log(name)) is not None


def procfile(checkout: Checkout = HERE) -> dict[str, str]:
    """The Procfile's processes: name → command, in its order."""
    return dict(parse_procfile((checkout.folder / "Procfile").read_text()).processes)


def process_tree(pid: int) -> list[int]:
    """The process and all its living descendants; empty when it is gone."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat_fields(path)
        if fields:
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, queue = [], [pid] if Path(f"/proc/{pid}").exists() else []
    while queue:
        current = queue.pop()
        found.append(current)
        queue += children.get(current, [])
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process tree in seconds (utime + stime of proc(5), in clock ticks there).

    What children that ended had used is counted as well (cutime + cstime).
    """
    ticks = 0
    for one in process_tree(pid):
        ticks += sum(int(ticks) for ticks in _stat_fields(Path(f"/proc/{one}/stat"))[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """Resident memory of a process tree in bytes (VmRSS of proc(5))."""
    total = 0
    for one in process_tree(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)
        total += int(found[1]) * 1024 if found else 0
    return total


def _stat_fields(path: Path) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; the name before may hold anything."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
