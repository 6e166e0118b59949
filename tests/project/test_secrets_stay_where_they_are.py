"""No password reaches an error sentence, a log line or a debug page, however it is written."""

import logging
import os
import stat
import subprocess
import sys
from functools import partial

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.views.debug import get_exception_reporter_class

from project import environment, secrecy
from project.logs import OneLineFormatter, redacted
from tests.project.test_wrong_settings_stop_the_start import GOOD_KEY

# Each holds "hunter2" where its writer meant a password.
ADDRESSES = [
    "redis://:hun/hunter2@127.0.0.1:6379/0",
    "redis://:hunter2/x@127.0.0.1:6379/0",
    "redis://u:a#hunter2@127.0.0.1:6379/0",
    "redis://u:a?hunter2@127.0.0.1:6379/0",
    "redis://u:hunter2@127.0.0.1:6379/x",
    "redis://u:a@hunter2@127.0.0.1:x/0",
    "redis://u:12/hunter2@127.0.0.1:6379/0",
    "redis://u:12?hunter2@127.0.0.1:6379/0",
    "redis://u:[hunter2@127.0.0.1/0",
    "rediss://u:hunter2@127.0.0.1/0?ssl_cert_reqs=none",
    "amqp://u:hun/hunter2@127.0.0.1:5672//",
    "amqp://u:hunter2/@127.0.0.1:5672//",
    "amqp://u:12/hunter2@127.0.0.1:5672//",
    "postgres://u:hun/hunter2@127.0.0.1:5432/ringmaster",
    "postgres://u:hunter2/x@127.0.0.1:5432/ringmaster",
    "postgres://u:hunter2#@127.0.0.1:5432/ringmaster",
    "postgres://u:hunter2?@127.0.0.1:5432/ringmaster",
    "postgres://u:12/hunter2@127.0.0.1:5432/ringmaster",
    "postgres://u:[hunter2@127.0.0.1/ringmaster",
    "mysql://u:hunter2@127.0.0.1/ringmaster",
    "hunter2",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "name", ["REDIS_URL", "LIMITS_REDIS_URL", "CELERY_BROKER_URL", "DATABASE_URL"]
)
def test_a_wrong_address_is_refused_by_name_and_its_password_is_not_shown(name, address):
    read = {
        "DATABASE_URL": environment.database,
        "CELERY_BROKER_URL": partial(environment.broker_url, name),
    }.get(name, partial(environment.redis_url, name))
    with pytest.raises(ImproperlyConfigured) as refused:
        read(address)
    assert name in str(refused.value)
    assert "hunter2" not in str(refused.value)
    # A traceback shows what an error came from, too.
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize("name", ["REDIS_URL", "DATABASE_URL", "CELERY_BROKER_URL"])
def test_the_whole_output_of_a_refused_start_is_without_the_password(start, name):
    scheme = "postgres" if name == "DATABASE_URL" else "redis"
    done = start(SECRET_KEY=GOOD_KEY, **{name: f"{scheme}://u:hun/hunter2@127.0.0.1/0"})
    assert done.returncode != 0
    assert name in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:hunter2@h:1/0", "redis://***@h:1/0"),
        ("rediss://u:hun/ter2@h/0", "rediss://***@h/0"),
        ("amqp://u:p@h and postgres://a:b@i/db", "amqp://***@h and postgres://***@i/db"),
        ("http://ringmaster:p%40@127.0.0.1:8088", "http://***@127.0.0.1:8088"),
        ("http://127.0.0.1:8088/x", "http://127.0.0.1:8088/x"),
        ("sip:alice@example.org", "sip:alice@example.org"),
    ],
)
def test_addresses_are_shown_without_who_signs_in(text, shown):
    assert redacted(text) == shown


def test_a_log_line_and_its_traceback_are_without_passwords():
    try:
        raise ConnectionError("no answer from redis://:hunter2@127.0.0.1:6379/0")
    except ConnectionError:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "%s", ("amqp://u:hunter2@h",), sys.exc_info()
        )
    shown = OneLineFormatter("{message}", style="{").format(record)
    assert "amqp://***@h" in shown
    assert "ConnectionError" in shown
    assert "hunter2" not in shown


# Not written where the page shows the source around the error.
SECRET = "hunter2"
KEY = "s3cr3tkey" * 8


def test_a_debug_page_shows_neither_addresses_nor_keys(settings, rf):
    settings.DEBUG = True
    settings.REDIS_URL = f"redis://:{SECRET}@127.0.0.1:6379/0"
    settings.LIMITS_REDIS_URL = settings.CELERY_BROKER_URL = settings.REDIS_URL
    settings.SECRET_KEY = KEY
    of_the_process = {"DATABASE_URL": f"postgres://u:{SECRET}@h/db", "ARI_NODES": f"a=b:{SECRET}@"}
    request = rf.get("/", **of_the_process)
    try:
        held = settings.REDIS_URL
        raise ValueError(f"something about {held} and {settings.SECRET_KEY}")
    except ValueError:
        reporter = get_exception_reporter_class(request)(request, *sys.exc_info())
    for shown in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        assert "something about" in shown
        assert SECRET not in shown
        assert KEY not in shown


def test_the_sqlite_file_is_for_its_owner_alone(tmp_path):
    file = tmp_path / "ringmaster.sqlite3"
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        env={**os.environ, "DATABASE_URL": f"sqlite:///{file}"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        umask=0o022,
    )
    assert done.returncode == 0, done.stderr
    made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert "ringmaster.sqlite3" in made
    assert set(made.values()) == {0o600}


@pytest.mark.parametrize("name", [".env", "ringmaster.sqlite3"])
def test_a_file_of_secrets_that_others_can_read_is_complained_of(start, checkout, name):
    file = checkout / name
    file.write_text("")
    file.chmod(0o644)
    check = "import sys; sys.argv = ['manage.py', 'check']; import django; django.setup(); "
    check += "from django.core.management import call_command; call_command('check')"
    try:
        loose = start(check, SECRET_KEY=GOOD_KEY)
        file.chmod(0o600)
        tight = start(check, SECRET_KEY=GOOD_KEY)
    finally:
        file.unlink()
    assert f"chmod 600 {file}" in loose.stderr
    assert "chmod" not in tight.stderr


def test_a_wrong_host_logs_one_line_and_no_traceback(client, caplog):
    formatter = OneLineFormatter("{levelname} {name} {message}", style="{")
    assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 400
    lines = "\n".join(formatter.format(record) for record in caplog.records).splitlines()
    assert len(lines) == 1
    assert "evil.example" in lines[0]
    assert "ALLOWED_HOSTS" in lines[0]


def test_the_readme_makes_the_env_file_by_the_command_that_keeps_it_for_its_owner():
    readme = (settings.BASE_DIR / "README.md").read_text()
    commands = readme[readme.index("pip install -r requirements.txt") :].partition("\n\n")[0]
    assert "python manage.py ringmaster_init" in commands
    assert ".env" not in commands


def test_a_request_of_the_factory_has_no_reporter_of_its_own():
    assert get_exception_reporter_class(RequestFactory().get("/")) is secrecy.DiscreetReporter
