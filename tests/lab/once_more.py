"""Run pytest, and what failed once more by itself.

    python -m tests.lab.once_more PYTEST-ARGUMENTS…

Hundreds of these tests use real telephones, disks and clocks on a machine that others use as well.
One that fails and then passes by itself, on servers of its own, is named in the last lines and
does not fail the run; one that fails twice does. More than MOST_AGAIN failures are no accident and
are not run again.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

# As many as one file of tests has, whose server or browser came late.
MOST_AGAIN = 25
TESTS_FAILED = 1
"""pytest's exit code when tests ran and some failed; any other is no matter of a single test."""

Run = Callable[[Sequence[str]], int]


def main(arguments: Sequence[str], run: Run) -> int:
    """Give the exit code of pytest with these arguments, after the second try if there is one."""
    with tempfile.TemporaryDirectory() as folder:
        remembered = ("-o", f"cache_dir={folder}")
        code = run([*arguments, *remembered])
        failed = _failed(Path(folder))
        if code != TESTS_FAILED or not failed:
            return code
        if len(failed) > MOST_AGAIN:
            print(f"{len(failed)} tests failed: too many to be run once more.")
            return code
        print(f"Once more, by themselves, {len(failed)} that failed:", flush=True)
        again = ("--last-failed", "--last-failed-no-failures=none", "-n", "0", "--no-cov")
        code = run([*arguments, *remembered, *again])
        still = _failed(Path(folder))
    for test in failed:
        if code or test in still:
            print(f"FAILED TWICE OR NOT RUN AGAIN {test}")
        else:
            print(f"UNSTEADY {test}: it failed, and passed when it ran by itself. Find out why.")
    return code


def _failed(cache: Path) -> list[str]:
    file = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(file.read_text())) if file.exists() else []


def _pytest(arguments: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], _pytest))
