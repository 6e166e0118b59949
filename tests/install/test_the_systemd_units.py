"""The unit files of docs/install/systemd: every process of the Procfile, and each shut in."""

import re
import shlex
import subprocess

import pytest

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.packages import need_program
from tests.lab.stack import procfile

UNITS = REPOSITORY / "docs" / "install" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
HIGHEST_EXPOSURE = 15
"""In tenths, as --threshold wants it: 1.5 of 10. systemd calls everything below 2 safe."""
NEVER_THE_SAME = {"--hostname", "--bind"}
"""Options that name an instance or an address, which the Procfile has not or writes otherwise."""


@pytest.fixture(scope="module")
def analyze():
    try:
        return need_program("systemd-analyze", "systemd", purpose="systemd-analyze")
    except LabError as error:
        cannot_be_had(error)


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The units as for a checkout in this folder; each template has an instance."""
    folder = tmp_path_factory.mktemp("units")
    for path in UNITS.iterdir():
        text = path.read_text().replace("/srv/ringmaster", str(REPOSITORY))
        (folder / path.name).write_text(text)
    return folder


def test_they_are_well_formed_and_name_only_what_there_is(analyze, units):
    names = [str(path).replace("@.", "@1.") for path in sorted(units.iterdir())]
    done = subprocess.run(
        # Their neighbours (redis-server, asterisk) need not be installed here.
        [analyze, "verify", "--man=no", "--recursive-errors=no", *names],
        env={"SYSTEMD_UNIT_PATH": f"{units}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    of_ours = [line for line in done.stderr.splitlines() if str(units) in line]
    assert (done.returncode, of_ours) == (0, [])


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_process_that_is_broken_into_reaches_little(analyze, service):
    done = subprocess.run(
        [analyze, "security", "--offline=yes", f"--threshold={HIGHEST_EXPOSURE}", service],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


def unit_of(process):
    for name in (f"ringmaster-{process}.service", f"ringmaster-{process}@.service"):
        if (UNITS / name).exists():
            return (UNITS / name).read_text()
    return pytest.fail(f"docs/install/systemd has no unit for the process {process}.")


def options(command):
    """The words of a command, without its program's folder and without what names an instance."""
    words = shlex.split(command)
    words[0] = words[0].rpartition("/")[2]
    naming = [number for number, word in enumerate(words) if word in NEVER_THE_SAME]
    return [w for n, w in enumerate(words) if n not in naming and n - 1 not in naming]


@pytest.mark.parametrize("process", procfile())
def test_a_process_is_started_as_in_the_procfile(process):
    (command,) = re.findall(r"^ExecStart=(.*)$", unit_of(process), re.M)
    assert options(command) == options(procfile()[process])


def test_the_target_starts_every_process_and_two_bridges():
    wanted = re.findall(r"ringmaster-([a-z]+)", (UNITS / "ringmaster.target").read_text())
    assert set(procfile()) <= set(wanted)
    assert wanted.count("bridge") == 2


def test_an_upgrade_restarts_every_unit_of_the_target_and_those_beside_it():
    page = (REPOSITORY / "docs" / "upgrading.md").read_text()
    (told,) = re.findall(r"for unit in (.+); do", page)
    target = (UNITS / "ringmaster.target").read_text()
    of_the_target = re.findall(r"ringmaster-([a-z@0-9]+)\.service", target)
    # One that a timer starts is never there for long.
    lasting = {path.stem for path in SERVICES if not path.with_suffix(".timer").exists()}
    beside = {name.removeprefix("ringmaster-") for name in lasting if not name.endswith("@")} - set(
        of_the_target
    )
    assert sorted(told.split()) == sorted([*of_the_target, *beside])
    assert "try-restart" in page, "what does not run is not started"


def test_all_are_shut_in_alike():
    """One that was forgotten when the others were tightened would be the way in."""
    sandboxes = set()
    for service in SERVICES:
        text = service.read_text()
        sandboxes.add(text[text.index("User=ringmaster") :].partition("\n\n")[0])
    assert len(SERVICES) >= 5
    assert len(sandboxes) == 1
