"""What `make upgrade-test` upgrades from: an older revision's files, and the libraries it names."""

import subprocess

import pytest

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.stack import HERE, Checkout, Stack, procfile
from tests.lab.upgrade import revisions
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.alone


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where older revisions are put; nobody's but this test's."""
    monkeypatch.setattr(revisions, "FOLDER", tmp_path / "revisions")
    return tmp_path / "revisions"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of one commit: a checkout that is tested need not be one itself."""
    made = tmp_path / "repository"
    made.mkdir()
    (made / "Procfile").write_text("web: true\n")
    (made / "requirements.txt").write_bytes((REPOSITORY / "requirements.txt").read_bytes())
    git(made, "init", "--quiet")
    git(made, "add", ".")
    someone = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org")
    git(made, *someone, "commit", "--quiet", "--message", "First")
    monkeypatch.setattr(revisions, "REPOSITORY", made)
    return made


def git(repository, *words):
    shown = subprocess.run(
        ["git", *words], cwd=repository, capture_output=True, text=True, check=True
    )
    return shown.stdout.strip()


def test_its_files_are_those_of_the_revision(repository, folder):
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "Procfile").write_text("web: changed\n")

    found = revisions.checkout_of("HEAD")

    assert found.folder == folder / commit[:12]
    assert (found.folder / "Procfile").read_text() == "web: true\n"


def test_the_same_libraries_are_not_installed_twice(tmp_path):
    pins = tmp_path / "requirements.txt"
    pins.write_bytes((REPOSITORY / "requirements.txt").read_bytes())
    assert revisions._programs(pins) == HERE.programs


def test_a_revision_that_is_none_is_said(repository):
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
