"""``manage.py check --deploy`` has nothing to say of an admin behind TLS."""

import os
import subprocess
import sys

from django.conf import settings
from django.core.checks import Tags, run_checks


def deploy_check(**changes):
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        env={**os.environ, **changes},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_left_to_say_behind_tls():
    done = deploy_check(HTTPS="true", ALLOWED_HOSTS="pbx.example")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout


def test_the_check_does_speak_up_without_tls():
    assert "security.W" in deploy_check(HTTPS="false").stderr


def test_the_admins_pages_are_right():
    # Here, where they have been read: a command that looks at them may not have.
    assert run_checks(tags=[Tags.admin]) == []
