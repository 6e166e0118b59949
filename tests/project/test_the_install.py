"""What the README tells to do in production, on nothing but what it tells to install.

A fresh virtual environment with requirements.txt and no more; `honcho start` runs the Procfile in
it; a real call is placed, and its CDR found. What the tests' own packages bring along is not there.
"""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child, watch_over
from tests.lab.waiting import wait_for

PATIENCE_S = 60
"""Far above what anything here takes: it ends a test that would hang, and is no measure."""
NUMBER = "4930231250"
CONFIGURE = """
from calls.models import Account, Route, RouteTarget, Trunk
Account.objects.create(code="demo", name="Demo", allowed_prefixes="49")
trunk = Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")
RouteTarget.objects.create(route=Route.objects.create(prefix="49"), trunk=trunk)
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """The folder of programs of an environment made as the README says."""
    fresh = tmp_path_factory.mktemp("install") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(fresh)], check=True)
    install = [str(fresh / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*install, "--require-hashes", "-r", "requirements.txt"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return fresh / "bin"


@pytest.fixture
def environ(programs, asterisk, redis_url, clean_redis, tmp_path):
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "PATH": f"{programs}{os.pathsep}{os.defpath}",
        "PYTHONUNBUFFERED": "1",
        "SECRET_KEY": os.environ["SECRET_KEY"],
        "REDIS_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{tmp_path}/ringmaster.sqlite3",
        "ARI_NODES": asterisk.ari_nodes,
        "WEB_BIND": f"{LOOPBACK}:{free_port()}",
    }


@pytest.fixture
def product(programs, environ, asterisk, tmp_path):
    """`honcho start`, with every process at work."""
    for command in (["migrate", "--verbosity", "0"], ["shell", "--command", CONFIGURE]):
        manage = [str(programs / "python"), "manage.py", *command]
        subprocess.run(manage, cwd=REPOSITORY, env=environ, check=True, capture_output=True)
    honcho = Child(
        "honcho",
        [str(programs / "honcho"), "start", "--no-colour"],
        tmp_path / "honcho.log",
        env=environ,
        cwd=REPOSITORY,
    )
    try:
        signs = {r"calls\.1 .*ready\.", r"records\.1 .*ready\.", r"web\.1 .*Listening at: http"}
        wait_for(
            lambda: (
                not honcho.running
                or (all(re.search(sign, said(honcho)) for sign in signs) and has_app(asterisk))
            ),
            timeout_s=PATIENCE_S,
            failure=lambda: f"Not every process is ready:\n{honcho.log_tail(40)}",
        )
        assert honcho.running, honcho.log_tail(40)
        for group in groups(honcho):
            watch_over(group)
        yield honcho
    finally:
        honcho.stop(grace_s=PATIENCE_S)
        # honcho waits for the shells that it started, and not for what these had started.
        wait_for(
            lambda: not any(map(is_there, groups(honcho))),
            timeout_s=PATIENCE_S,
            failure=lambda: f"Not every process has ended:\n{honcho.log_tail(40)}",
        )


def said(honcho):
    return honcho.log.read_text(errors="replace")


def groups(honcho):
    """The process groups that honcho has started."""
    return [int(pid) for pid in re.findall(r"started \(pid=(\d+)\)", said(honcho))]


def is_there(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def has_app(asterisk):
    return asterisk.has_app("ringmaster")


def cdrs(tmp_path):
    with closing(sqlite3.connect(tmp_path / "ringmaster.sqlite3")) as database:
        return database.execute(
            "SELECT disposition, callee_normalised, trunk, integrity FROM cdr_cdr"
        ).fetchall()


def test_a_fresh_install_carries_a_call_and_keeps_its_cdr(product, caller, carrier, tmp_path):
    assert caller.call(NUMBER).finals == [200]

    found = wait_for(
        lambda: cdrs(tmp_path),
        timeout_s=PATIENCE_S,
        failure=lambda: f"No CDR came:\n{product.log_tail(40)}",
    )
    assert found == [("answered", NUMBER, "carrier-a", "complete")]
    assert product.running, product.log_tail(40)
    assert not re.search("Traceback|CRITICAL|ERROR", said(product)), said(product)
