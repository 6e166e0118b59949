"""A pinned version that an advisory names is found; without advisories that is said."""

import pytest

from tests.lab import advisories
from tests.lab.advisories import findings, pins

ADVISORY = """
id: PYSEC-2026-1
affected:
- package: {{ecosystem: PyPI, name: Some.Thing}}
  ranges:
  - type: GIT
    events: [{{introduced: "0"}}]
  - type: ECOSYSTEM
    events: {events}
  versions: ["0.9", "1.0"]
{more}
"""


@pytest.fixture
def said_of(tmp_path):
    def said_of(version, events='[{introduced: "0"}, {fixed: 1.2}]', more=""):
        folder = tmp_path / "vulns" / "some-thing"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "PYSEC-2026-1.yaml").write_text(ADVISORY.format(events=events, more=more))
        return [str(each) for each in findings({"some-thing": version}, tmp_path)]

    return said_of


@pytest.mark.parametrize("version", ["0.9", "1.0", "1.1.9"])
def test_a_version_before_the_fix_is_found(said_of, version):
    assert said_of(version) == [f"some-thing {version}: PYSEC-2026-1, fixed in 1.2"]


@pytest.mark.parametrize("version", ["1.2", "1.10", "2.0"])
def test_the_fix_and_later_ones_are_not(said_of, version):
    assert said_of(version) == []


def test_a_hole_may_come_back_and_stay(said_of):
    events = '[{introduced: "0"}, {fixed: 1.2}, {introduced: 2.0}]'
    assert said_of("1.5", events) == []
    assert said_of("2.1", events)


def test_the_last_version_concerned_is_one(said_of):
    events = '[{introduced: "0"}, {last_affected: 1.5}]'
    assert said_of("1.5", events) == ["some-thing 1.5: PYSEC-2026-1, not fixed yet"]
    assert said_of("1.6", events) == []


def test_what_was_withdrawn_counts_no_more(said_of):
    assert said_of("1.0", more="withdrawn: 2026-01-01T00:00:00Z") == []


def test_pins_are_read_with_extras_hashes_and_markers():
    text = (
        "Django==5.2.19 \\\n    --hash=sha256:0\ncelery[redis]==5.7.0\nuvloop==0.23 ; x\n# a==1\n"
    )
    assert pins(text) == {"django": "5.2.19", "celery": "5.7.0", "uvloop": "0.23"}


def test_all_that_is_pinned_is_looked_at():
    text = "\n".join((advisories.REPOSITORY / name).read_text() for name in advisories.PINNED)
    assert {"django", "aiohttp", "cryptography", "kombu", "pytest"} <= set(pins(text))


def test_without_advisories_that_is_said(monkeypatch, capsys):
    monkeypatch.delenv(advisories.SETTING, raising=False)
    assert advisories.main() == 0
    assert "Not looked at" in capsys.readouterr().out


def test_a_finding_fails_the_lint(monkeypatch, capsys, tmp_path):
    folder = tmp_path / "vulns" / "django"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(
        "id: PYSEC-1\naffected:\n- package: {name: django}\n"
        '  ranges: [{type: ECOSYSTEM, events: [{introduced: "0"}]}]\n'
    )
    monkeypatch.setenv(advisories.SETTING, str(tmp_path))
    assert advisories.main() == 1
    assert "PYSEC-1, not fixed yet" in capsys.readouterr().out
