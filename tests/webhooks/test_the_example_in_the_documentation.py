"""docs/webhooks.md shows how a message is checked, and that is how it is."""

import os
import re
import runpy
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from django.conf import settings

from calls.models.webhooks import EVENTS, secret_text
from calls.webhooks.signature import headers

TEXT = (Path(settings.BASE_DIR) / "docs" / "webhooks.md").read_text()
SECRET, OTHER = b"s" * 32, b"o" * 32


@pytest.fixture
def is_genuine(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    program = tmp_path / "example.py"
    program.write_text(code)
    return runpy.run_path(str(program))["is_genuine"]


def test_the_example_tells_a_genuine_message_from_others(is_genuine):
    body, now = b'{"type": "call.ended"}', int(time.time())
    signed = headers("msg_1", now, body, [OTHER, SECRET])
    assert is_genuine(secret_text(SECRET), signed, body)
    assert not is_genuine(secret_text(b"x" * 32), signed, body)
    assert not is_genuine(secret_text(SECRET), signed, body + b" ")
    assert not is_genuine(secret_text(SECRET), headers("msg_1", now - 600, body, [SECRET]), body)


def test_the_lines_for_a_shell_give_the_signature(tmp_path):
    """What stands in webhook-signature behind its version."""
    (lines,) = re.findall(r"^    (printf .*\n {6}openssl .*)$", TEXT, re.M)
    bash = shutil.which("bash")
    assert bash
    body = '{"type": "call.ended", "data": {"caller": "Jürgen"}}'.encode()
    (tmp_path / "body.json").write_bytes(body)
    signed = headers("msg_1", 1_795_558_316, body, [SECRET])
    told = {"ID": "msg_1", "TIMESTAMP": "1795558316", "SECRET": secret_text(SECRET)}
    ran = subprocess.run(
        [bash, "-euo", "pipefail", "-c", lines],
        env=os.environ | told,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"v1,{ran.stdout.strip()}" == signed["webhook-signature"]


def test_every_event_is_explained():
    assert all(f"`{event}`" in TEXT for event in EVENTS)
