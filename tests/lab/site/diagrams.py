"""What draws the pages' diagrams in a reader's browser: mermaid, from its npm package.

Served by the site itself, on the pages that have a diagram: the theme would else load it from
elsewhere.
"""

import base64
import hashlib
import posixpath
import tarfile
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.packages import need_program, run_visibly

VERSION = "11.12.2"
SHA512 = "n34QPDPEKmaeCG4WDMGy0OT6PSyxKCfy2pJgShP+Qow2KLrvWjclwbc3yXfSIf4BanqWEhQEpngWwNp/XhZt6w=="
"""Of the package, as the registry tells it."""
ON_THE_SITE = "javascripts/mermaid.min.js"
IN_THE_PACKAGE = "package/dist/mermaid.min.js"
FENCE = "```mermaid"


def library(lab: Path) -> Path:
    """The library's file, kept in this folder. Raises LabError."""
    kept = lab / f"mermaid-{VERSION}.min.js"
    if not kept.exists():
        lab.mkdir(parents=True, exist_ok=True)
        npm = need_program("npm", "npm", purpose="npm, for the library that draws diagrams,")
        run_visibly(
            "Fetching what draws diagrams (once)",
            [npm, "pack", f"mermaid@{VERSION}", f"--pack-destination={lab}", "--silent"],
            may_be_stopped=True,
        )
        package = lab / f"mermaid-{VERSION}.tgz"
        found = unpacked(package)
        package.unlink()
        building = kept.with_suffix(".building")
        building.write_bytes(found)
        building.rename(kept)
    return kept


def unpacked(package: Path, sha512: str = SHA512) -> bytes:
    """The library out of its package; raises LabError where that is another one than was pinned."""
    if base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode() != sha512:
        raise LabError(f"{package.name} is not the package that was pinned.")
    with tarfile.open(package) as archive:
        file = archive.extractfile(IN_THE_PACKAGE)
        assert file is not None
        return file.read()


def with_library(text: str, page: str) -> str:
    """A page's text, which loads the library where it has a diagram."""
    if FENCE not in text:
        return text
    source = posixpath.relpath(ON_THE_SITE, posixpath.dirname(page))
    return f'{text}\n<script src="{source}"></script>\n'
