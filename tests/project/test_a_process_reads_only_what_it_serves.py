"""Half of what a process could read at its start are pages: who serves none is back the sooner."""

import os
import subprocess
import sys

import pytest

from tests.lab.asterisk_config import REPOSITORY

PAGES = ("calls.admin", "cdr.admin", "cdr.export", "project.urls", "unfold.admin")
LOOK = f"""
import sys
print(*[name for name in {PAGES} if name in sys.modules], end=".")
"""
COMMAND = """
import django; django.setup()
from django.core.management import load_command_class
command = load_command_class("{app}", "{name}")
command.check(tags=command.requires_system_checks)
"""
WORKER = """
from {module} import app
from celery.fixups.django import DjangoWorkerFixup
app.loader.import_default_modules()
DjangoWorkerFixup(app).validate_models()
"""
WEB = """
import project.wsgi
"""


def _pages_of(start: str) -> str:
    """Which of the pages a process has read that starts so."""
    done = subprocess.run(
        [sys.executable, "-c", start + LOOK],
        cwd=REPOSITORY,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("ari_bridge", "run_ari_bridge"),
        ("ari_bridge", "run_sip_trace"),
        ("calls", "run_metrics"),
        ("calls", "run_webhooks"),
    ],
)
def test_a_command_that_serves_no_pages_reads_none(app: str, name: str) -> None:
    assert _pages_of(COMMAND.format(app=app, name=name)) == "."


@pytest.mark.parametrize("module", ["project.celery", "project.records"])
def test_a_worker_reads_no_pages(module: str) -> None:
    assert _pages_of(WORKER.format(module=module)) == "."


def test_a_web_process_has_read_them_all_before_its_first_request() -> None:
    assert _pages_of(WEB) == " ".join(PAGES) + "."
