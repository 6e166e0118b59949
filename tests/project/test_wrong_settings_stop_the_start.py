"""A wrong setting is refused with a sentence that names it, and never shows a password."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ari_bridge.node import AriNode
from project import environment


def refusal(function, *args, **kwargs):
    with pytest.raises(ImproperlyConfigured) as error:
        function(*args, **kwargs)
    return str(error.value)


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


def test_the_start_is_refused_without_a_secret_key(start):
    done = start()
    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stderr


def test_the_secret_key_alone_is_enough_to_start(start):
    done = start(SECRET_KEY="k")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_debug_server_starts_without_a_secret_key(start):
    assert start(DEBUG="true").returncode == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "perhaps"),
        ("HTTPS", "perhaps"),
        ("REDIS_URL", "http://127.0.0.1"),
        ("LIMITS_REDIS_URL", "redis://127.0.0.1/limits"),
        ("CELERY_BROKER_URL", "sqs://"),
        ("DATABASE_URL", "mysql://u:p@127.0.0.1/db"),
        ("ARI_NODES", "pbx1"),
        ("ARI_APP", "my app"),
        ("CALLS_GATEWAY", "AriGateway"),
        ("MAX_CALL_S", "two hours"),
        ("REPLAY_CALLS", "all"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_the_start_is_refused_with_a_sentence_that_names_the_setting(start, name, value):
    done = start(SECRET_KEY="k", **{name: value})
    assert done.returncode != 0
    assert name in done.stderr.splitlines()[-1]


def test_settings_are_read_from_the_env_file_and_the_environment_wins(start, checkout):
    show = "from django.conf import settings; print(settings.ARI_APP, settings.MAX_CALL_S)"
    (checkout / ".env").write_text("SECRET_KEY=k\nARI_APP=filed\nMAX_CALL_S=60\n")
    try:
        done = start(show, MAX_CALL_S="90")
    finally:
        (checkout / ".env").unlink()
    assert done.stdout == "filed 90\n"


def test_nodes_are_read_by_name():
    nodes = environment.ari_nodes(
        "pbx1=http://ringmaster:secret@127.0.0.1:8088, pbx-2=https://u:p@pbx2.example/"
    )
    assert nodes == {
        "pbx1": AriNode("pbx1", "http://127.0.0.1:8088", "ringmaster", "secret"),
        "pbx-2": AriNode("pbx-2", "https://pbx2.example", "u", "p"),
    }


def test_no_node_is_no_error_of_django():
    assert environment.ari_nodes("") == {}


def test_a_nodes_password_may_be_percent_encoded():
    nodes = environment.ari_nodes("a=http://u%40x:p%2C%40%2F%3A@127.0.0.1:8088")
    assert (nodes["a"].user, nodes["a"].password) == ("u@x", "p,@/:")


def test_a_nodes_ipv6_address_keeps_its_brackets():
    assert environment.ari_nodes("a=http://u:p@[::1]:8088")["a"].url == "http://[::1]:8088"


def test_a_node_does_not_show_its_password():
    shown = repr(environment.ari_nodes("a=http://u:hunter2@127.0.0.1:8088"))
    assert "hunter2" not in shown
    assert "127.0.0.1" in shown


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("http://u:hunter2@127.0.0.1:8088", "does not begin with a node's name"),
        ("PBX=http://u:hunter2@127.0.0.1:8088", "does not begin with a node's name"),
        ("a=http://u:x,hunter2@127.0.0.1:8088", "port"),
        ("a=ws://u:hunter2@127.0.0.1:8088", "http://"),
        ("a=http://u@127.0.0.1:8088", "needs the user and the password"),
        ("a=http://:hunter2@127.0.0.1:8088", "needs the user and the password"),
        ("a=http://u:hunter2@127.0.0.1:99999", "port"),
        ("a=http://u:hunter2@127.0.0.1:0", "port"),
        ("a=http://u:hunter2@127.0.0.1:http", "port"),
        ("a=http://u:hunter2@127.0.0.1:8088/ari", "behind host and port"),
        ("a=http://u:hun#ter2@127.0.0.1:8088", "'a'"),
        ("a=http://u:hunter2@[::1:8088", "'a'"),
        ("a=http://u:hunter2@h:1,a=http://u:hunter2@h:2", "'a' twice"),
    ],
)
def test_a_wrong_node_is_refused_without_showing_its_password(text, complaint):
    sentence = refusal(environment.ari_nodes, text)
    assert "ARI_NODES" in sentence
    assert complaint in sentence
    assert "Example: ARI_NODES=" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("text", ["redis://:hunter2@127.0.0.1:x/0", "http://:hunter2@127.0.0.1"])
def test_a_wrong_redis_address_is_refused_without_showing_its_password(text):
    sentence = refusal(environment.redis_url, "REDIS_URL", text)
    assert "REDIS_URL" in sentence
    assert "hunter2" not in sentence


def test_redis_and_rabbitmq_are_brokers():
    for url in ("redis://127.0.0.1/1", "rediss://127.0.0.1", "amqp://u:p@127.0.0.1:5672//"):
        assert environment.broker_url("CELERY_BROKER_URL", url) == url


def test_sqlite_takes_its_write_lock_at_the_beginning_of_a_transaction():
    options = environment.database({"ENGINE": "django.db.backends.sqlite3"})["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]


def test_postgresql_connections_are_kept_checked_and_not_waited_for():
    config = environment.database({"ENGINE": "django.db.backends.postgresql"})
    assert (config["CONN_HEALTH_CHECKS"], config["OPTIONS"]["connect_timeout"]) == (True, 2)


def test_a_number_out_of_range_is_refused():
    read = environment.integer
    assert read("MAX_CALL_S", "86400", minimum=1, maximum=86_400) == 86_400
    for text in ("0", "86401", "", "1.5"):
        assert "from 1 to 86400" in refusal(read, "MAX_CALL_S", text, minimum=1, maximum=86_400)
