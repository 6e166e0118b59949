"""A process that has lost a thread or a task it cannot work without ends, and says why.

Real processes, each with one fault put into it.
"""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from django.conf import settings

from tests.project.test_the_records_worker import Worker

FAULT = "a fault of the program"
PUT_INTO_IT = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
import django
django.setup()
async def fault(*args, **options):
    raise RuntimeError("a fault of the program")
def fault_at_once(*args, **options):
    raise RuntimeError("a fault of the program")
"""
BRIDGE = """
from django.core.management import call_command
call_command("run_ari_bridge")
"""


@pytest.fixture
def environ(redis_url, clean_redis, tmp_path):
    environ = {
        **os.environ,
        "SECRET_KEY": "for this test, and long enough for Django: 0123456789abcdefghijk",
        "REDIS_URL": redis_url,
        # Nudges of another broker than the calls' Redis are published by a thread.
        "CELERY_BROKER_URL": redis_url.rsplit("/", 1)[0] + "/3",
        "DATABASE_URL": f"sqlite:///{tmp_path}/calls.sqlite3",
        "ARI_NODES": "demo=http://ringmaster:secret@127.0.0.1:1",
        "PYTHONPATH": f"{tmp_path}:{settings.BASE_DIR}",
        "LOG_LEVEL": "INFO",
    }
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, env=environ, cwd=settings.BASE_DIR, check=True)
    return environ


@contextmanager
def started(command, environ):
    worker = Worker(command, environ)
    try:
        yield worker
    finally:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.communicate()


def assert_ends_with(worker, what):
    worker.wait_for(f"CRITICAL .*{what} died of a fault .*{FAULT}.* its supervisor starts it")
    assert worker.exit_status() == os.EX_SOFTWARE


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("import ari_bridge.poster as p; p.Poster.run = fault", "The poster"),
        ("import ari_bridge.listener as p; p.Listener.run = fault", "The listener of node demo"),
        (
            "import ari_bridge.listener as p; p.Listener._keep_lease = fault",
            "The keeper of the lease of node demo",
        ),
        ("import calls.engine.nudges as p; p.Publisher.__init__ = fault_at_once", "The nudger"),
    ],
)
def test_the_bridge(environ, fault, what):
    code = f"{PUT_INTO_IT}\n{fault}\n{BRIDGE}"
    with started([sys.executable, "-c", code], environ) as bridge:
        assert_ends_with(bridge, what)


def calls_worker(environ, tmp_path, fault):
    (tmp_path / "faulty.py").write_text(f"{PUT_INTO_IT}\n{fault}\nfrom project.celery import app\n")
    command = [sys.executable, "-m", "celery", "-A", "faulty", "worker", "--queues", "calls"]
    return started([*command, "--pool", "solo", "--loglevel", "INFO"], environ)


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("import calls.engine.runtime as p; p.Runtime._sweep = fault", "The sweeper"),
        ("import calls.store.counters as p; p.Limits.run = fault", "The keeper of the limits"),
    ],
)
def test_a_worker_for_calls(environ, tmp_path, fault, what):
    with calls_worker(environ, tmp_path, fault) as worker:
        assert_ends_with(worker, what)


def test_a_worker_for_calls_that_could_not_start_is_never_ready(environ, tmp_path):
    environ["CALLS_GATEWAY"] = "ari_bridge.gateway.NoSuchGateway"
    with calls_worker(environ, tmp_path, "") as worker:
        worker.wait_for("The start of the engine died of a fault .*NoSuchGateway")
        assert worker.exit_status() == os.EX_SOFTWARE
        assert not [line for line in worker.lines if " ready." in line]


def test_a_worker_for_calls_without_a_fault_is_ready_and_ends_in_good_order(environ, tmp_path):
    with calls_worker(environ, tmp_path, "") as worker:
        worker.wait_for(r"ready\.$")
        assert worker.end(signal.SIGTERM) == 0
        assert not [line for line in worker.lines if "CRITICAL" in line]
