"""What `make upgrade-test` upgrades from: an older revision's files, and the libraries it names."""

import subprocess

import pytest

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.stack import HERE, Checkout, Stack, procfile
from tests.lab.upgrade import revisions
from tests.lab.waiting import wait_for


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(revisions, "FOLDER", tmp_path)
    return tmp_path


def commit(revision):
    shown = subprocess.run(
        ["git", "rev-parse", revision], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return shown.stdout.strip()


def test_its_files_are_those_of_the_revision(folder):
    found = revisions.checkout_of("HEAD")

    assert found.folder == folder / commit("HEAD")[:12]
    shown = subprocess.run(
        ["git", "show", "HEAD:Procfile"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert (found.folder / "Procfile").read_text() == shown.stdout
    assert (found.folder / "manage.py").exists()


def test_the_same_libraries_are_not_installed_twice(folder):
    pins = folder / "requirements.txt"
    pins.write_bytes((REPOSITORY / "requirements.txt").read_bytes())
    assert revisions._programs(pins) == HERE.programs


def test_a_revision_that_is_none_is_said():
    with pytest.raises(LabError, match="no-such-revision"):
        revisions.checkout_of("no-such-revision")


def test_a_stack_starts_what_its_checkout_says(tmp_path):
    (tmp_path / "Procfile").write_text("calls: sh -c 'echo of an older version; exec sleep 60'\n")
    older = Checkout(tmp_path, HERE.programs)
    assert list(procfile(older)) == ["calls"]

    with Stack(tmp_path, {}, only=["calls"], checkout=older) as stack:
        wait_for(
            lambda: "of an older version" in stack.log("calls"),
            timeout_s=10,
            failure=lambda: stack.log("calls"),
        )


def test_a_process_that_the_older_version_has_not_is_said(tmp_path):
    (tmp_path / "Procfile").write_text("calls: true\n")
    with pytest.raises(LabError, match="bridge"):
        Stack(tmp_path, {}, only=["bridge"], checkout=Checkout(tmp_path, HERE.programs))
