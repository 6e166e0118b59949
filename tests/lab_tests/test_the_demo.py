"""`make demo` as it runs where there is no terminal: real processes, real calls."""

import contextlib
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.demo.scenario import CALLS
from tests.lab.ports import LOOPBACK
from tests.lab.stack import process_tree
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.alone

PATIENCE_S = 120


class Demo:
    """The running demo, and what it has printed."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.demo", "--folder", str(folder)],
            cwd=REPOSITORY,
            env={**os.environ, "DATABASE_URL": "postgres://nobody@192.0.2.1/not-for-the-demo"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = ""

    def read_until(self, pattern: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line
            if re.search(pattern, line):
                return
        pytest.fail(f"The demo ended without {pattern!r}:\n{self.printed}")

    def end(self) -> int:
        rest, _ = self.process.communicate(timeout=PATIENCE_S)
        self.printed += rest
        return self.process.returncode


@pytest.fixture
def demo(asterisk: object, tmp_path: Path) -> Iterator[Demo]:
    running = Demo(tmp_path)
    yield running
    running.process.terminate()
    running.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def first_web_port_taken() -> Iterator[None]:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            taken.bind((LOOPBACK, 8000))
            taken.listen()
        yield


def wait_until_gone(pids: list[int]) -> None:
    wait_for(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids),
        timeout_s=20,
        failure=lambda: f"Of {pids} some are still there.",
    )


def test_every_call_has_its_record_and_nothing_is_left(
    first_web_port_taken: None, demo: Demo, tmp_path: Path
) -> None:
    demo.read_until("talking")
    pids = process_tree(demo.process.pid)

    assert demo.end() == 0, demo.printed

    assert f"All {len(CALLS)} calls have exactly the call record they should have" in demo.printed
    assert re.search(r"http://127\.0\.0\.1:80(?!00)\d\d/admin/ +login: admin", demo.printed)
    for state in ("dialling|ringing", "talking", "busy", "no answer", "cancelled", "no route"):
        assert re.search(state, demo.printed)
    assert len(pids) > 8
    wait_until_gone(pids)
    with contextlib.closing(sqlite3.connect(tmp_path / "demo.sqlite3")) as database:
        calls = [call for (call,) in database.execute("SELECT call_id FROM cdr_cdr")]
    by_the_doctor = [call for call in calls if ":ringmaster-doctor-" in call]
    assert len(by_the_doctor) == 1
    assert len(calls) - len(by_the_doctor) == len(CALLS)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_sigterm_in_the_middle_of_the_calls_leaves_nothing(demo: Demo) -> None:
    demo.read_until("talking")
    pids = process_tree(demo.process.pid)

    demo.process.send_signal(signal.SIGTERM)

    assert demo.end() == 128 + signal.SIGTERM
    assert "Stopped before all calls were over" in demo.printed
    wait_until_gone(pids)


def test_a_second_demo_of_the_same_folder_is_refused(demo: Demo, tmp_path: Path) -> None:
    demo.read_until("Redis")

    second = Demo(tmp_path)

    assert second.end() == 1
    assert "A demo is running" in second.printed
