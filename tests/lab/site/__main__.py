"""Stage the pages in .lab/site-src, and build the site in .lab/site. A broken link is an error."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from project import __version__
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.packages import run_visibly
from tests.lab.site.diagrams import ON_THE_SITE, library, with_library
from tests.lab.site.pages import relinked, title

HERE = Path(__file__).parent
LAB = REPOSITORY / ".lab"
PINS = REPOSITORY / "docs" / "requirements.txt"
BESIDE = {
    "CHANGELOG.md": "CHANGELOG.md",
    "SECURITY.md": "SECURITY.md",
    "README.md": "tutorials/first-call.md",
}
"""Pages that stand at the top of the repository, and where the site has them."""
OF_README = ("reference/settings.md", "explanation/cost.md")


def stage(folder: Path) -> Path:
    """Write all pages and mkdocs' own configuration; gives that file's path."""
    from tests.lab.site.reference import pages

    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "src"
    shutil.copytree(REPOSITORY / "docs" / "screens", source / "screens")
    made = pages()
    site = _mapping() | {f"docs/{page}": page for page in made}
    written = {}
    for path, page in _mapping().items():
        if path.endswith(".md") and path != "README.md":
            written[page] = relinked((REPOSITORY / path).read_text(), path, site)
    for page, text in made.items():
        # What is told in the README has links that begin at the repository's top.
        named = page.rpartition("/")[2] if page in OF_README else f"docs/{page}"
        written[page] = relinked(text, named, site | {named: page})
    for page, text in written.items():
        (source / page).parent.mkdir(parents=True, exist_ok=True)
        (source / page).write_text(with_library(text, page))
    script = source / ON_THE_SITE
    script.parent.mkdir()
    shutil.copyfile(library(LAB), script)
    config = folder / "mkdocs.yml"
    config.write_text(yaml.safe_dump(_config(written), sort_keys=False, allow_unicode=True))
    return config


def _mapping() -> dict[str, str]:
    """Path in the repository → path on the site, of every page and picture."""
    docs = REPOSITORY / "docs"
    files = [*docs.rglob("*.md"), *(docs / "screens").glob("*.png")]
    found = {f"docs/{path.relative_to(docs)}": str(path.relative_to(docs)) for path in files}
    there = {path: page for path, page in found.items() if not page.startswith("install/")}
    return there | BESIDE


def _config(written: dict[str, str]) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((HERE / "mkdocs.yml").read_text())
    decisions = sorted(page for page in written if page.startswith("decisions/"))
    config["copyright"] = f"Ringmaster {__version__}"
    config["nav"].append({"Decisions": [{title(written[page]): page} for page in decisions]})
    named = set(_named(config["nav"]))
    if more := sorted(set(written) - named):
        config["nav"].append({"More": [{title(written[page]): page} for page in more]})
    return config


def _named(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in _named(part)]


def mkdocs() -> Path:
    """mkdocs in a virtual environment of its own, made when docs/requirements.txt changes."""
    venv, stamp = LAB / "site-venv", LAB / "site-venv" / ".requirements"
    if not stamp.exists() or stamp.read_bytes() != PINS.read_bytes():
        shutil.rmtree(venv, ignore_errors=True)
        LAB.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        run_visibly(
            "Installing what the site is built with (once)",
            [
                *(str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--requirement", str(PINS)),
            ],
            may_be_stopped=True,
        )
        stamp.write_bytes(PINS.read_bytes())
    return venv / "bin" / "mkdocs"


def build(folder: Path = LAB / "site-build") -> Path:
    """Stage and build; gives the folder of the site. Raises LabError with mkdocs' warnings."""
    config = stage(folder)
    done = subprocess.run(
        # Not --quiet: what is not logged is not counted either, and nothing would be too wrong.
        [str(mkdocs()), "build", "--strict", f"--config-file={config}"],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
    )
    if done.returncode:
        raise LabError(f"The site could not be built:\n{done.stdout}{done.stderr}")
    return folder / "site"


def main() -> int:
    """Build, say where it is, and give the exit code."""
    argparse.ArgumentParser(prog="python -m tests.lab.site", description=main.__doc__).parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    os.environ["SECRET_KEY"] = "builds-pages-and-signs-nothing-0123456789-0123456789-0123456789"
    import django

    django.setup()
    try:
        print(f"The site is built. To read it: python -m http.server --directory {build()} 8080")
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
