"""Child processes that end with the lab, however the lab ends.

Every child leads a process group of its own. A small helper process (``reaper.py``) holds the
other end of a pipe: when this process is gone, killed or crashed, the pipe closes and the helper
kills every group that was not stopped, and removes the temporary folders. A parent-death signal
would not do: it follows the thread that forked, and is not inherited by a worker's pool.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.lab.errors import LabError

STOP_GRACE_S = 10.0


class Reaper:
    """The lifeline to ``reaper.py``; started with the first child or folder."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._pipe: IO[bytes] | None = None

    def tell(self, **message: object) -> None:
        """Send one message, for instance ``kill=<process group>``; starts the helper if needed."""
        with self._lock:
            if self._pipe is None or self._owner != os.getpid():
                helper = subprocess.Popen(
                    [sys.executable, "-S", "-E", str(Path(__file__).with_name("reaper.py"))],
                    stdin=subprocess.PIPE,
                    start_new_session=True,
                )
                self._pipe, self._owner = helper.stdin, os.getpid()
            assert self._pipe is not None
            self._pipe.write(json.dumps(message).encode() + b"\n")
            self._pipe.flush()


_reaper = Reaper()


def temporary_folder(purpose: str) -> Path:
    """A new folder that is removed at the latest when this process is gone."""
    folder = Path(tempfile.mkdtemp(prefix=f"ringmaster-lab-{purpose}-"))
    _reaper.tell(remove=str(folder))
    return folder


def watch_over(group: int) -> None:
    """Let the helper kill this process group, which a child of ours began, with all the others."""
    _reaper.tell(kill=group)


class Child:
    """One running program.

    ``name`` stands in error messages; output goes to ``log`` (a file, appended to). ``user`` runs
    it as that system user, which only root can.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd=cwd,
                    start_new_session=True,
                    user=user,
                    group=user,
                    extra_groups=None if user is None else [user],
                )
            except FileNotFoundError as error:
                raise LabError(f"{name} cannot start: there is no {error.filename}.") from error
        _reaper.tell(kill=self.pid)
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its own end and give the exit code; raises subprocess.TimeoutExpired."""
        code = self._process.wait(timeout_s)
        self._forget()
        return code

    def send(self, number: int) -> None:
        """Send a signal to the program alone, not to its children."""
        self._process.send_signal(number)

    def send_group(self, number: int) -> None:
        """Send a signal to the program and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def stop(self, number: int = signal.SIGTERM, grace_s: float = STOP_GRACE_S) -> int:
        """Ask it to end, wait ``grace_s`` seconds, then kill its whole group. Gives the exit code.

        A second call does nothing.
        """
        self.ask_to_end(number)
        return self.wait_or_kill(grace_s)

    def ask_to_end(self, number: int = signal.SIGTERM) -> None:
        """Send the signal to the program if it still runs, and do not wait for its end."""
        if self.running:
            self.send(number)

    def wait_or_kill(self, grace_s: float = STOP_GRACE_S) -> int:
        """Wait ``grace_s`` seconds for its end, then kill its whole group. Gives the exit code."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        return self.kill()

    def kill(self) -> int:
        """``kill -9`` to whatever of the group is left. Gives the exit code of the program."""
        self.send_group(signal.SIGKILL)
        code = self._process.wait()
        self._forget()
        return code

    def log_tail(self, lines: int = 15) -> str:
        """The last lines it wrote, for error messages."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _forget(self) -> None:
        atexit.unregister(self.kill)
        if not self._group_left():
            _reaper.tell(spare=self.pid)

    def _group_left(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True
