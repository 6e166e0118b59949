"""requirements.txt holds everything, with hashes, and says nothing of where it came from."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
PAIRS = ["requirements", "tests/requirements", "docs/requirements", "docs/install/telemetry"]


def pins(path):
    return set(re.findall(r"^([\w.-]+==[\w.]+)", (REPOSITORY / path).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_named_is_what_was_compiled(name):
    assert pins(f"{name}.in") <= pins(f"{name}.txt"), "run: make requirements"


def test_tests_run_with_what_is_run_in_production():
    assert pins("requirements.txt") <= pins("tests/requirements.txt"), "run: make requirements"


@pytest.mark.parametrize("name", PAIRS)
def test_every_package_is_pinned_with_its_hashes(name):
    text = (REPOSITORY / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=[\w-])", text)[1:]

    assert len(blocks) > 5
    for block in blocks:
        assert re.match(
            r"[\w.-]+(?:\[[\w,-]+\])?==[\w.]+(?: ;.*)? \\\n    --hash=sha256:", block
        ), block[:80]


@pytest.mark.parametrize("name", PAIRS)
def test_no_index_is_named(name):
    text = (REPOSITORY / f"{name}.txt").read_text()
    assert not re.search(r"--index-url|--extra-index-url|--find-links|://", text)


def pinned(path):
    """The extras with which each package is pinned, by its name."""
    lines = re.findall(r"^([\w.-]+)(?:\[([\w,-]+)\])?==", (REPOSITORY / path).read_text(), re.M)
    return {canonicalize_name(name): set(filter(None, extras.split(","))) for name, extras in lines}


@pytest.mark.parametrize("path", ["requirements.txt", "tests/requirements.txt"])
def test_a_package_that_is_required_with_an_extra_is_pinned_with_it(path):
    """pip 23, which Debian 12's Python brings, looks for ``coverage[toml]`` among all releases when
    only ``coverage`` is pinned, and refuses to install from the day a newer one is out."""
    known = pinned(path)
    # What only another Python or system needs is pinned, and not here.
    installed = {canonicalize_name(each.name): each for each in metadata.distributions()}
    looked_at = known.keys() & installed.keys()
    assert len(looked_at) > 30
    for name in looked_at:
        for needed in map(Requirement, installed[name].requires or ()):
            if needed.extras and is_needed(needed, known[name]):
                extras = known[canonicalize_name(needed.name)]
                assert needed.extras <= extras, f"{name} needs {needed}: make requirements"


def is_needed(requirement, extras):
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": each}) for each in ("", *extras))
