"""The Debian package on a Debian with systemd: installed, put to work, upgraded, removed.

Minutes and 300 MB more than `make test` should take, so it runs with PACKAGE=1: `make package`.
"""

import os
import re
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.debian import BootedDebian
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.skipif(
    os.environ.get("PACKAGE") != "1", reason="takes minutes: make package, or PACKAGE=1"
)

PATIENCE_S = 60
"""Far above what anything here takes: it ends a test that would hang, and is no measure."""
NUMBER = "4930231250"
SETTINGS = "/etc/ringmaster/ringmaster.env"
DATABASE = "/var/lib/ringmaster/ringmaster.sqlite3"
CONFIGURE = """
from calls.models import Account, Route, RouteTarget, Trunk
Account.objects.create(code="demo", name="Demo", allowed_prefixes="49")
trunk = Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")
RouteTarget.objects.create(route=Route.objects.create(prefix="49"), trunk=trunk)
"""
UNITS = {
    "ringmaster-bridge@1.service",
    "ringmaster-bridge@2.service",
    "ringmaster-calls@1.service",
    "ringmaster-calls@2.service",
    "ringmaster-records@1.service",
    "ringmaster-web.service",
    "ringmaster-webhooks.service",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The package of this checkout."""
    folder = tmp_path_factory.mktemp("package")
    built = subprocess.run(
        ["sh", "docs/install/debian/build.sh", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (package,) = folder.iterdir()
    return package


@pytest.fixture(scope="module")
def newer(package, tmp_path_factory) -> Path:
    """The same with a higher version."""
    folder = tmp_path_factory.mktemp("newer")
    subprocess.run(["dpkg-deb", "-R", package, folder / "tree"], check=True)
    control = folder / "tree" / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 99.0.0", control.read_text()))
    init = folder / "tree" / "usr/lib/ringmaster/project/__init__.py"
    init.write_text(re.sub(r"(?m)^__version__ = .*$", '__version__ = "99.0.0"', init.read_text()))
    built = folder / "ringmaster_99.0.0.deb"
    subprocess.run(["dpkg-deb", "-Znone", "-b", folder / "tree", built], check=True)
    return built


@pytest.fixture(scope="module")
def debian():
    try:
        machine = BootedDebian()
    except LabError as error:
        cannot_be_had(error)
    with machine:
        yield machine


def install(debian, package) -> str:
    inside = debian.outside(f"/root/{package.name}")
    inside.write_bytes(package.read_bytes())
    told = debian.run("dpkg", "--install", f"/root/{package.name}")
    inside.unlink()
    return told


@pytest.fixture(scope="module")
def told(debian, package) -> str:
    """What its installation says."""
    return install(debian, package)


@pytest.fixture
def at_work(debian, told, asterisk, redis_url, clean_redis):
    """Installed as told, with the lab's Redis and Asterisk, and every unit up."""
    settings = debian.outside(SETTINGS)
    text = re.sub(r"(?m)^REDIS_URL=.*$", f"REDIS_URL={redis_url}", settings.read_text())
    text = re.sub(r"(?m)^ARI_NODES=.*$", f"ARI_NODES={asterisk.ari_nodes}", text)
    text = re.sub(r"(?m)^WEB_BIND=.*\n", "", text)
    settings.write_text(f"{text}WEB_BIND={LOOPBACK}:{free_port()}\n")
    debian.run("systemctl", "enable", "--now", "ringmaster.target")
    wait_until_at_work(debian, asterisk)
    yield
    debian.run("systemctl", "stop", "ringmaster*")


def active(debian) -> set[str]:
    listed = debian.run("systemctl", "list-units", "--plain", "--no-legend", "ringmaster-*.service")
    rows = (line.split() for line in listed.splitlines())
    return {row[0] for row in rows if row[2:4] == ["active", "running"]}


def journal(debian) -> str:
    return debian.run("journalctl", "--no-pager", "--unit=ringmaster-*")


def wait_until_at_work(debian, asterisk) -> None:
    wait_for(
        lambda: (
            active(debian) == UNITS
            and asterisk.has_app("ringmaster")
            and len(re.findall(r"\bready\.$", journal(debian), re.M)) >= 3
        ),
        timeout_s=PATIENCE_S,
        failure=lambda: f"Not all is up, only {active(debian)}:\n{journal(debian)[-5000:]}",
        poll_s=0.2,
    )


def mode_and_owner(debian, path) -> tuple[int, str]:
    owner = debian.run("stat", "--format=%U", path).strip()
    return stat.S_IMODE(debian.outside(path).stat().st_mode), owner


def cdrs(debian) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(debian.outside(DATABASE))) as database:
        return database.execute(
            "SELECT disposition, callee_normalised, trunk, integrity FROM cdr_cdr ORDER BY id"
        ).fetchall()


def test_it_makes_first_settings_for_its_user_alone_and_says_what_is_next(debian, told):
    assert mode_and_owner(debian, SETTINGS) == (0o600, "ringmaster")
    assert mode_and_owner(debian, "/var/lib/ringmaster") == (0o700, "ringmaster")
    assert mode_and_owner(debian, DATABASE) == (0o600, "ringmaster")
    password = re.search(r":([^:@]+)@127", debian.outside(SETTINGS).read_text())[1]
    assert mode_and_owner(debian, "/etc/ringmaster/asterisk.txt") == (0o600, "root")
    assert f"password = {password}" in debian.outside("/etc/ringmaster/asterisk.txt").read_text()
    assert "systemctl enable --now ringmaster.target" in told
    assert password not in told


def test_it_starts_nothing_before_it_is_set_up(debian, told):
    assert active(debian) == set()


def test_its_command_is_for_root_and_its_own_user(debian, told):
    from project import __version__

    assert debian.run("ringmaster", "version").startswith(f"Ringmaster {__version__} ")
    refused = debian.run("runuser", "-u", "nobody", "--", "ringmaster", "migrate", check=False)
    assert "sudo ringmaster migrate" in refused


def test_it_carries_a_call_and_keeps_its_record(debian, at_work, caller, carrier):
    debian.run("ringmaster", "shell", "--command", CONFIGURE)

    assert caller.call(NUMBER).finals == [200]

    found = wait_for(
        lambda: cdrs(debian),
        timeout_s=PATIENCE_S,
        failure=lambda: f"No call record came:\n{journal(debian)[-5000:]}",
    )
    assert found == [("answered", NUMBER, "carrier-a", "complete")]
    assert active(debian) == UNITS
    assert not re.search("Traceback|CRITICAL|ERROR", journal(debian)), journal(debian)


def test_an_upgrade_restarts_every_process_and_keeps_settings_and_records(
    debian, at_work, newer, asterisk, caller, carrier
):
    before, kept = debian.outside(SETTINGS).read_text(), len(cdrs(debian))
    pids = processes(debian)

    told = install(debian, newer)

    wait_until_at_work(debian, asterisk)
    assert "not started yet" not in told
    assert not pids & processes(debian)
    assert debian.run("ringmaster", "version").startswith("Ringmaster 99.0.0 ")
    assert debian.outside(SETTINGS).read_text() == before
    assert caller.call(NUMBER).finals == [200]
    wait_for(
        lambda: len(cdrs(debian)) == kept + 1,
        timeout_s=PATIENCE_S,
        failure=lambda: f"No call record came:\n{journal(debian)[-5000:]}",
    )


def processes(debian) -> set[str]:
    shown = debian.run("systemctl", "show", "--property=MainPID", "--value", *sorted(UNITS))
    return set(shown.split())


def test_removed_and_purged_it_leaves_the_records_alone(debian, at_work):
    debian.run("dpkg", "--remove", "ringmaster")
    assert active(debian) == set()
    assert debian.outside(SETTINGS).exists()

    told = debian.run("dpkg", "--purge", "ringmaster")
    assert not debian.outside("/etc/ringmaster").exists()
    assert not debian.outside("/usr/lib/ringmaster").exists()
    assert "/var/lib/ringmaster is kept" in told
    assert debian.outside(DATABASE).exists()
