"""A command whose database has no tables, or whose Redis is away, says so in a sentence."""

import os
import subprocess
import sys

import pytest

from tests.lab.asterisk_config import REPOSITORY

COMMANDS = [
    ["archive_cdrs", "--month", "2026-01"],
    ["drain", "switch"],
    ["export_cdrs"],
    ["export_routes"],
    ["hangup_call", "pbx1:1.1"],
    ["import_routes", "{file}"],
    ["ledger"],
    ["live_calls"],
    ["replay_traces"],
    ["route_number", "49301234", "--account", "demo"],
    ["watch_accounts"],
    ["watch_canaries"],
]
NAMED = ("DATABASE_URL", "REDIS_URL")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_it_names_the_setting_and_shows_no_traceback(command, tmp_path):
    file = tmp_path / "routes.csv"
    file.write_text("prefix,account,action,targets\n49,,block,\n")
    environ = os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3",
        **dict.fromkeys(("REDIS_URL", "LIMITS_REDIS_URL"), "redis://127.0.0.1:1/0"),
    }
    done = subprocess.run(
        [sys.executable, "manage.py", *(part.format(file=file) for part in command)],
        cwd=REPOSITORY,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr, done.stderr
    assert any(name in done.stderr for name in NAMED), done.stderr
