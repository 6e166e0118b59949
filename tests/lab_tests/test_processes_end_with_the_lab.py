"""Children, their groups, and the figures the benchmark reads from /proc."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.processes import Child
from tests.lab.stack import Stack, cpu_seconds, process_tree, rss_bytes
from tests.lab.waiting import wait_for


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def written(path: Path) -> str:
    return wait_for(
        lambda: path.exists() and path.read_text().strip(),
        timeout_s=10,
        failure=lambda: f"Nothing was written to {path}.",
    )


def test_stopping_a_child_takes_its_children_with_it(tmp_path):
    log = tmp_path / "log"
    child = Child("parent", ["sh", "-c", "sleep 1000 & echo $!; wait"], log)
    grandchild = int(written(log))

    child.stop()

    assert gone(child.pid)
    wait_for(lambda: gone(grandchild), timeout_s=5, failure=lambda: "The grandchild lives on.")


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(tmp_path):
    log = tmp_path / "log"
    child = Child("stubborn", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"], log)
    written(log)

    assert child.stop(grace_s=0.1) == -signal.SIGKILL


def test_children_die_with_kill_9_of_the_lab(tmp_path):
    program = (
        "import pathlib, signal, sys; from tests.lab.processes import Child, temporary_folder\n"
        "c = Child('c', ['sleep', '1000'], pathlib.Path(sys.argv[1]) / 'log')\n"
        "print(c.pid, temporary_folder('x'), flush=True); signal.pause()"
    )
    lab = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid, folder = lab.stdout.readline().split()
    assert not gone(int(pid))
    assert Path(folder).is_dir()

    lab.kill()
    lab.communicate()

    wait_for(
        lambda: gone(int(pid)) and not Path(folder).exists(),
        timeout_s=10,
        failure=lambda: f"Process {pid} or folder {folder} outlived the lab.",
    )


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LabError, match="there is no /no/such/program"):
        Child("ghost", ["/no/such/program"], tmp_path / "log")


def test_cpu_and_memory_are_summed_over_the_process_tree(tmp_path):
    log = tmp_path / "log"
    child = Child("burner", ["sh", "-c", "while :; do :; done & echo $!; wait"], log)
    try:
        burner = int(written(log))

        assert set(process_tree(child.pid)) == {child.pid, burner}
        wait_for(
            lambda: cpu_seconds(child.pid) > 0.05,
            timeout_s=20,
            failure=lambda: "A busy loop used no CPU time.",
        )
        assert rss_bytes(child.pid) > rss_bytes(burner) > 0
    finally:
        child.stop()


def test_a_process_that_is_gone_has_no_tree():
    done = subprocess.Popen(["true"])
    done.wait()

    assert process_tree(done.pid) == []
    assert process_tree(os.getpid())


def test_a_stack_refuses_a_process_the_procfile_has_not(tmp_path):
    with pytest.raises(LabError, match="no process conductor"):
        Stack(tmp_path, {}, only=["bridge", "conductor"])


def test_a_process_that_ends_at_its_start_is_told_with_its_log(tmp_path):
    with (
        Stack(tmp_path, {"SECRET_KEY": "", "DEBUG": "false"}, only=["calls"]) as stack,
        pytest.raises(LabError, match=r"calls ended at its start:(.|\n)*SECRET_KEY"),
    ):
        stack.wait_ready()


def test_a_killed_process_of_the_stack_can_be_started_again(tmp_path, clean_redis, redis_url):
    environment = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
    }
    with Stack(tmp_path, environment, only=["records"]) as stack:
        stack.wait_ready()
        first = stack.pid("records")
        assert stack.rss_bytes("records") > 10_000_000
        assert stack.cpu_seconds("records") > 0

        stack.kill("records")
        assert gone(first)
        assert not stack.running("records")

        stack.restart("records")
        stack.wait_ready()
        assert stack.pid("records") != first
        assert stack.stop() == {"records": 0}
