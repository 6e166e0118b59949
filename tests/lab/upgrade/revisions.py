"""An older revision's code, with the libraries that it names, in .lab/upgrade."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.packages import run_visibly
from tests.lab.stack import HERE, Checkout

FOLDER = REPOSITORY / ".lab" / "upgrade"


def last_release() -> str:
    """The newest release's tag, else the commit before this one."""
    found = _git("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^", check=False)
    return found or "HEAD^"


def described(revision: str) -> str:
    """A revision as people name it: its tag or short hash, its day and its subject."""
    name = _git("describe", "--tags", "--always", revision)
    return f"{name} of {_git('log', '-1', '--format=%cs, “%s”', revision)}"


def checkout_of(revision: str) -> Checkout:
    """The revision's files, and a virtual environment with its libraries; raises LabError."""
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    folder = FOLDER / commit[:12]
    if not folder.exists():
        building = folder.with_name(f"{folder.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        archive = subprocess.run(
            ["git", "archive", commit], cwd=REPOSITORY, capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", str(building)], input=archive.stdout, check=True)
        building.rename(folder)
    return Checkout(folder, _programs(folder / "requirements.txt"))


def _programs(pins: Path) -> Path:
    text = pins.read_bytes()
    if text == (REPOSITORY / "requirements.txt").read_bytes():
        return HERE.programs
    venv = FOLDER / f"venv-{hashlib.sha256(text).hexdigest()[:12]}"
    if not venv.exists():
        building = venv.with_name(f"{venv.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(building)], check=True)
        hashes = ["--require-hashes"] if b"--hash=" in text else []
        run_visibly(
            "Installing the older revision's libraries",
            [
                *(str(building / "bin" / "python"), "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", *hashes, "--requirement", str(pins)),
            ],
            may_be_stopped=True,
        )
        # Programs name their interpreter by its whole path.
        for program in (building / "bin").iterdir():
            if program.is_file() and not program.is_symlink():
                told = program.read_bytes()
                program.write_bytes(told.replace(bytes(building), bytes(venv)))
        building.rename(venv)
    return venv / "bin"


def _git(*words: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode and check:
        raise LabError(f"git {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout.strip() if not done.returncode else ""
