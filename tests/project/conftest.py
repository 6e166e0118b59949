"""Starting Django in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the packages, so that the developer's own .env is not read."""
    folder = tmp_path_factory.mktemp("checkout")
    for package in ("project", "ari_bridge", "calls", "cdr"):
        shutil.copytree(Path(settings.BASE_DIR) / package, folder / package)
    return folder


@pytest.fixture
def start(checkout):
    """Starts Django in a process of its own, with these settings only."""

    def start(code="import django; django.setup()", **changes):
        environ = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings"}
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environ | changes,
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
        )

    return start
