"""A test that fails is run once more by itself before it fails the whole run."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.lab import once_more

Suite = Callable[[str], tuple[Path, once_more.Run]]

STEADY = "def test_steady():\n    pass\n"
BROKEN = "def test_broken():\n    raise AssertionError\n"
UNSTEADY = """
from pathlib import Path

def test_unsteady():
    been_here = Path(__file__).with_name("been-here")
    if not been_here.exists():
        been_here.touch()
        raise AssertionError
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Write a file of tests, and give it with a pytest that knows nothing of this project's."""

    def write(text: str) -> tuple[Path, once_more.Run]:
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        file = tmp_path / "test_some.py"
        file.write_text(text)

        def run(arguments: Sequence[str]) -> int:
            with (tmp_path / "runs").open("a") as runs:
                runs.write(" ".join(arguments) + "\n")
            command = [sys.executable, "-m", "pytest", "-p", "no:django", *arguments]
            return subprocess.run(
                command, check=False, cwd=tmp_path, capture_output=True
            ).returncode

        return file, run

    return write


def runs(file: Path) -> int:
    return len((file.parent / "runs").read_text().splitlines())


def test_what_passes_is_run_once(suite: Suite) -> None:
    file, run = suite(STEADY)
    assert once_more.main([str(file)], run) == 0
    assert runs(file) == 1


def test_what_fails_twice_fails_the_run_and_is_named(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = suite(STEADY + BROKEN)
    assert once_more.main([str(file)], run) == once_more.TESTS_FAILED
    assert "FAILED TWICE OR NOT RUN AGAIN test_some.py::test_broken" in capsys.readouterr().out


def test_what_passes_by_itself_is_named_and_does_not_fail_the_run(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = suite(STEADY + UNSTEADY)
    assert once_more.main([str(file)], run) == 0
    assert "UNSTEADY test_some.py::test_unsteady" in capsys.readouterr().out


def test_one_broken_test_beside_an_unsteady_one_fails_the_run(suite: Suite) -> None:
    file, run = suite(UNSTEADY + BROKEN)
    assert once_more.main([str(file)], run) == once_more.TESTS_FAILED


def test_many_failures_are_not_run_again(suite: Suite) -> None:
    numbers = range(once_more.MOST_AGAIN + 1)
    file, run = suite("\n".join(f"def test_{n}():\n    assert 0\n" for n in numbers))
    assert once_more.main([str(file)], run) == once_more.TESTS_FAILED
    assert runs(file) == 1


def test_a_file_that_cannot_be_imported_fails_the_run(suite: Suite) -> None:
    file, run = suite("import nothing_of_this_name\n")
    assert once_more.main([str(file)], run) not in (0, once_more.TESTS_FAILED)
