"""What a web process does before it takes its first request, so that nobody waits for it then.

The first page of a process reads all addresses and compiles some 240 templates, which takes as long
as five pages. What is there then stays for good, and the collector of garbage need not look at it.
"""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from django import forms
from django.conf import settings
from django.forms.renderers import get_default_renderer
from django.template import TemplateDoesNotExist, TemplateSyntaxError, engines
from django.template.utils import get_app_template_dirs
from django.urls import reverse

OURS = ("unfold", "calls", "cdr", "project")
"""Apps whose templates are compiled; others' are replaced by these or never shown."""


def warm_up() -> int:
    """Read addresses and templates; returns how many templates there are."""
    # The first address of the admin that is written has all of them read.
    reverse("admin:index")
    folders = [Path(folder) for folder in cast("list[Path]", settings.TEMPLATES[0]["DIRS"])]
    folders += [each for each in map(Path, get_app_template_dirs("templates")) if _is_ours(each)]
    compiled = sum(_compile(folder, engines["django"].get_template) for folder in folders)
    # Fields of forms are drawn by an engine of their own.
    drawn_by = get_default_renderer()
    for folder in (*folders, Path(forms.__file__).parent / "templates"):
        compiled += _compile(folder, drawn_by.get_template, "widgets")
    gc.collect()
    gc.freeze()
    return compiled


def _compile(folder: Path, get_template: Callable[[str], Any], kind: str = "") -> int:
    compiled = 0
    for path in sorted(folder.rglob(f"{kind}/*.html" if kind else "*.html")):
        try:
            get_template(str(path.relative_to(folder)))
        except (TemplateDoesNotExist, TemplateSyntaxError):
            # Of a part of unfold's that is not installed here: no page can show it either.
            continue
        compiled += 1
    return compiled


def _is_ours(folder: Path) -> bool:
    return folder.parent.name in OURS
