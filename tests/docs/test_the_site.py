"""`make docs` builds the site, everything on it, and nothing that leads nowhere."""

import shutil
import subprocess

import pytest

from project import __version__
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.site import __main__ as site


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    try:
        return site.build(tmp_path_factory.mktemp("docs"))
    except LabError as error:
        if "could not be built" in str(error):
            raise
        cannot_be_had(error)


def text(built, page):
    return (built / page).read_text()


def test_every_page_and_reference_is_there(built):
    assert "First call in five minutes" in text(built, "index.html")
    assert "MAX_CALL_S" in text(built, "reference/settings.html")
    assert "ringmaster_init" in text(built, "reference/commands.html")
    assert "--delete-missing" in text(built, "reference/commands.html")
    assert "allowed_prefixes" in text(built, "reference/models.html")
    assert "/api/v1/cdrs" in text(built, "reference/http-api.html")
    assert (built / "decisions" / "0001-mailboxes-and-nudges.html").exists()
    assert (built / "screens" / "dashboard-dark.png").exists()


def test_nothing_on_a_page_is_loaded_from_elsewhere(built):
    for page in built.rglob("*.html"):
        for word in ('src="http', 'rel="stylesheet" href="http', "fonts.googleapis"):
            assert word not in page.read_text(), page


def test_a_link_that_leads_nowhere_stops_the_build(built, tmp_path):
    folder = tmp_path / "docs"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "index.md").write_text("# Home\n\n[gone](gone.md)\n")
    config = shutil.copy(site.HERE / "mkdocs.yml", folder / "mkdocs.yml")
    lines = (folder / "mkdocs.yml").read_text().partition("\nnav:")[0]
    (folder / "mkdocs.yml").write_text(lines + "\n")
    done = subprocess.run(
        [str(site.mkdocs()), "build", "--strict", f"--config-file={config}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "gone.md" in done.stderr


def test_the_version_is_the_one_that_the_pages_are_of(built):
    assert __version__ in text(built, "index.html")
