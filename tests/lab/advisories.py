"""Looks whether a pinned dependency has a known vulnerability, without a network.

    ADVISORIES=/path/to/advisory-database make lint

reads a clone of PyPA's advisory-database (one YAML file in OSV's form for each vulnerability).
pip-audit asks services on the network only, and a lint that needs one is a lint that is left out.
Without ADVISORIES nothing is looked at, and that is said.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tests.lab.asterisk_config import REPOSITORY

SETTING = "ADVISORIES"
PINNED = ("requirements.txt", "tests/requirements.txt")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.M)


@dataclass(frozen=True)
class Finding:
    """A pinned version that an advisory names."""

    package: str
    version: str
    advisory: str
    fixed: str

    def __str__(self) -> str:
        cure = f"fixed in {self.fixed}" if self.fixed else "not fixed yet"
        return f"{self.package} {self.version}: {self.advisory}, {cure}"


def pins(text: str) -> dict[str, str]:
    """The versions that a requirements file pins, by the package's canonical name."""
    return {canonicalize_name(name): version for name, version in _PIN.findall(text)}


def findings(pinned: Mapping[str, str], advisories: Path) -> Iterator[Finding]:
    """What the advisories say of the pinned versions. Raises OSError where a file is unreadable."""
    for name, version in sorted(pinned.items()):
        for file in sorted((advisories / "vulns" / name).glob("*.yaml")):
            # Everything as text: 1.10 is a version here and no number.
            advisory = yaml.load(file.read_text(), Loader=yaml.CBaseLoader)  # noqa: S506
            if advisory.get("withdrawn"):
                continue
            for affected in advisory.get("affected", ()):
                if _concerns(affected, name, version):
                    yield Finding(name, version, advisory["id"], _fixed(affected))
                    break


def _concerns(affected: Mapping[str, Any], name: str, version: str) -> bool:
    if canonicalize_name(affected["package"]["name"]) != name:
        return False
    if version in affected.get("versions", ()):
        return True
    return any(_in_range(each["events"], version) for each in _ranges(affected))


def _ranges(affected: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (each for each in affected.get("ranges", ()) if each["type"] == "ECOSYSTEM")


def _in_range(events: Iterable[Mapping[str, str]], version: str) -> bool:
    """OSV's rule: the events in their order switch it on (introduced) and off (fixed)."""
    concerned = False
    for event in events:
        kind, at = next(iter(event.items()))
        try:
            reached = at == "0" or Version(version) >= Version(at)
            past = Version(version) > Version(at) if at != "0" else True
        except InvalidVersion:
            continue
        if kind == "introduced" and reached:
            concerned = True
        elif (kind == "fixed" and reached) or (kind == "last_affected" and past):
            concerned = False
    return concerned


def _fixed(affected: Mapping[str, Any]) -> str:
    fixes = [event["fixed"] for r in _ranges(affected) for event in r["events"] if "fixed" in event]
    return fixes[-1] if fixes else ""


def main() -> int:
    """Print what is found; 1 where anything is."""
    where = os.environ.get(SETTING, "")
    if not where:
        print(
            f"Not looked at: {SETTING} names no clone of PyPA's advisory-database. With one: "
            f"{SETTING}=/path/to/advisory-database make lint"
        )
        return 0
    folder = Path(where)
    if not (folder / "vulns").is_dir():
        print(f"{SETTING} is {where!r}, which has no folder vulns.", file=sys.stderr)
        return 2
    pinned = pins("\n".join((REPOSITORY / name).read_text() for name in PINNED))
    found = list(findings(pinned, folder))
    for each in found:
        print(each)
    count = sum(1 for _ in (folder / "vulns").iterdir())
    print(
        f"{len(pinned)} pinned packages against advisories on {count} packages: {len(found)} found."
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
