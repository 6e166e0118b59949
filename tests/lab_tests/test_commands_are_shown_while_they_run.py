"""Commands of some length, such as apt's: what becomes of them when the lab is told to end."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.packages import run_visibly
from tests.lab.waiting import wait_for

PROGRAM = """
import signal, sys
from tests.lab.packages import run_visibly

def told(*_):
    print("told to end", flush=True)
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, told)
run_visibly("Working", ["sh", "-c", sys.argv[1]], may_be_stopped=sys.argv[2] == "yes")
"""


def lab_told_to_end(script: str, may_be_stopped: str, begun: Path) -> "subprocess.Popen[str]":
    """A lab that runs the script and has been told to end in the middle of it."""
    lab = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, script, may_be_stopped],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    wait_for(begun.exists, timeout_s=20, failure=lambda: "The command did not begin.")
    lab.send_signal(signal.SIGTERM)
    assert lab.stdout is not None
    assert lab.stdout.readline() == "told to end\n"
    return lab


def test_a_command_that_fails_is_told_with_its_last_lines():
    with pytest.raises(LabError, match=r"Trying failed \(exit code 3\):\s+no such luck"):
        run_visibly("Trying", ["sh", "-c", "echo no such luck; exit 3"])


def test_a_command_that_may_be_stopped_ends_with_its_children(tmp_path):
    begun, child = tmp_path / "begun", tmp_path / "child"
    script = f"sleep 1000 & echo $! > {child}; touch {begun}; wait"

    lab = lab_told_to_end(script, "yes", begun)

    lab.communicate(timeout=60)
    assert lab.returncode != 0
    pid = child.read_text().strip()
    wait_for(
        lambda: not Path(f"/proc/{pid}").exists(),
        timeout_s=10,
        failure=lambda: f"The command's child {pid} lives on.",
    )


def test_a_command_that_may_not_be_stopped_is_waited_for(tmp_path):
    begun, go, done = tmp_path / "begun", tmp_path / "go", tmp_path / "done"
    # It still writes after that, as apt does: a closed pipe would end it there.
    script = (
        f"touch {begun}; until [ -e {go} ]; do sleep 0.05; done; "
        f"echo still here && echo and here && touch {done}"
    )

    lab = lab_told_to_end(script, "no", begun)
    go.touch()

    lab.communicate(timeout=60)
    assert lab.returncode != 0
    assert done.exists()
