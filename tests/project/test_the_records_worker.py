"""The records worker as the Procfile starts it: a real Celery process on a real Redis.

It writes to a database file of its own, so that no transaction of the test hides rows from it.
"""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
import redis
from django.conf import settings

from cdr.stream import FIELD, GROUP, STREAM
from tests.cdr.made_up import record

# Far above what a start takes: it ends a test that would hang, and is no measure.
PATIENCE_S = 60


class Worker:
    """The process, and its log read line by line as it comes."""

    def __init__(self, command, environ):
        self.process = subprocess.Popen(
            command, env=environ, cwd=settings.BASE_DIR, stderr=subprocess.PIPE, text=True
        )
        self.lines = []

    def wait_for(self, pattern):
        """Read the log up to the first line that matches; the end of the log is a failure."""
        watchdog = threading.Timer(PATIENCE_S, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stderr:
                self.lines.append(line)
                if re.search(pattern, line):
                    return line
        finally:
            watchdog.cancel()
        pytest.fail(f"The worker ended before it logged {pattern!r}:\n{''.join(self.lines)}")

    def end(self, signum=signal.SIGTERM):
        self.process.send_signal(signum)
        return self.exit_status()

    def exit_status(self):
        _, rest = self.process.communicate(timeout=PATIENCE_S)
        self.lines.append(rest)
        return self.process.returncode


@pytest.fixture
def environ(redis_url, tmp_path):
    environ = {
        **os.environ,
        "SECRET_KEY": "for this test, and long enough for Django: 0123456789",
        "REDIS_URL": redis_url,
        "CELERY_BROKER_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{tmp_path}/records.sqlite3",
        "LOG_LEVEL": "INFO",
    }
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, env=environ, cwd=settings.BASE_DIR, check=True)
    return environ


@pytest.fixture
def stream(redis_url):
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.delete(STREAM)
        yield client
        client.delete(STREAM)


@pytest.fixture
def start_worker(environ):
    workers = []

    def start():
        command = [sys.executable, "-m", "celery", "-A", "project.records", "worker"]
        options = ["--queues", "records", "--concurrency", "1", "--loglevel", "INFO"]
        workers.append(Worker([*command, *options], environ))
        return workers[-1]

    yield start
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.communicate()


def calls_written(tmp_path):
    with closing(sqlite3.connect(tmp_path / "records.sqlite3")) as database:
        return {call for (call,) in database.execute("SELECT call_id FROM cdr_cdr")}


def test_the_worker_writes_records_and_ends_cleanly_on_sigterm(stream, start_worker, tmp_path):
    stream.xadd(STREAM, {FIELD: record("pbx1:1").to_json()})
    stream.xadd(STREAM, {FIELD: b"no record, and so logged after the first was taken"})
    worker = start_worker()
    worker.wait_for("not JSON")
    assert worker.end() == 0
    assert calls_written(tmp_path) == {"pbx1:1"}
    assert stream.xlen(STREAM) == 0


def test_a_killed_workers_records_are_written_after_its_return(stream, start_worker, tmp_path):
    worker = start_worker()
    name = worker.wait_for("Writing call records as").rsplit(" ", 1)[1].strip().rstrip(".")
    worker.wait_for("ready")
    assert worker.end(signal.SIGKILL) == -signal.SIGKILL
    stream.xadd(STREAM, {FIELD: record("pbx1:2").to_json()})
    # As if the kill had come between reading and writing.
    stream.xreadgroup(GROUP, name, {STREAM: ">"})
    stream.xadd(STREAM, {FIELD: b"no record"})
    again = start_worker()
    again.wait_for("not JSON")
    assert again.end() == 0
    assert calls_written(tmp_path) == {"pbx1:2"}


def test_a_writer_that_dies_takes_its_worker_with_it(stream, environ, start_worker, tmp_path):
    faulty = tmp_path / "faulty.py"
    faulty.write_text(
        "import cdr.writer\n"
        "def fault(rows, also):\n"
        "    raise RuntimeError('a fault of the program')\n"
        "cdr.writer.store_rows = fault\n"
    )
    (tmp_path / "faulty_app.py").write_text(
        "import os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'project.settings'\n"
        "import django; django.setup()\n"
        "import faulty\n"
        "from project.records import app\n"
    )
    environ["PYTHONPATH"] = str(tmp_path)
    stream.xadd(STREAM, {FIELD: record("pbx1:3").to_json()})
    command = [sys.executable, "-m", "celery", "-A", "faulty_app", "worker"]
    worker = Worker([*command, "--queues", "records", "--concurrency", "1"], environ)
    worker.wait_for("died of a fault of its own")
    assert worker.exit_status() == os.EX_SOFTWARE
    assert stream.xlen(STREAM) == 1
    assert calls_written(tmp_path) == set()
