"""/health/live, /health/ready and manage.py health, with parts that answer or do not."""

import json

import pytest
from django.core.management import call_command
from django.db import OperationalError

from ari_bridge import health
from ari_bridge.node import AriNode
from calls.store.heartbeats import PREFIX
from project import observing

FAR = {"REMOTE_ADDR": "192.0.2.7"}
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(observing, "_looked", {})


@pytest.fixture
def database_away(monkeypatch):
    def away(*_):
        raise OperationalError("it is away")

    monkeypatch.setattr(health, "close_old_connections", away)


def asked(capsys, *arguments):
    """The exit code of the command, and what it said."""
    code = 0
    try:
        call_command("health", *arguments)
    except SystemExit as ended:
        code = ended.code
    return code, capsys.readouterr().out


def test_the_web_process_is_live_whatever_is_away(client, settings, database_away):
    settings.REDIS_URL = NOWHERE
    assert client.get("/health/live").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_it_is_ready_when_database_and_redis_answer(client, clean_redis):
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.content.decode().splitlines() == [
        "well  The database answers.",
        "well  Redis (REDIS_URL) answers.",
    ]


@pytest.mark.django_db(transaction=True)
def test_it_is_not_ready_without_redis(client, settings, caplog):
    settings.REDIS_URL = NOWHERE
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert caplog.messages == [], "it is an answer, and no fault"
    assert answer.content.decode().startswith("WRONG  Redis (REDIS_URL) does not answer.\nwell")


def test_it_is_not_ready_without_the_database(client, clean_redis, database_away):
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.content.startswith(b"WRONG  The database (DATABASE_URL) does not answer.")


def test_strangers_are_told_whether_and_not_why(client, clean_redis, database_away):
    assert client.get("/health/ready", **FAR).content == b"not ready\n"


def test_what_is_needed_is_looked_at_twice_a_second_and_no_more(client, clean_redis, monkeypatch):
    looks = []
    monkeypatch.setattr(health, "look", lambda process: looks.append(process) or [])
    for _ in range(50):
        client.get("/health/ready/records")
    assert looks == ["records"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("process", ["bridge", "calls", "records", "switch"])
def test_other_kinds_are_asked_for_by_name(client, clean_redis, process):
    answer = client.get(f"/health/ready/{process}")
    assert answer.status_code == 503
    assert f"WRONG  No `{'calls' if process == 'switch' else process}` process".encode() in (
        answer.content
    )


def test_there_is_no_health_of_anything_else(client):
    assert client.get("/health/ready/asterisk").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_the_command_says_in_sentences_and_by_its_exit_code(clean_redis, capsys):
    code, said = asked(capsys, "--process", "records")
    assert code == 1
    host = health.THIS_MACHINE.host
    assert said.splitlines()[0] == f"WRONG  No `records` process on {host} runs."
    clean_redis.set(f"{PREFIX}records:{host}:7", b'{"started_ms":1,"note":""}', px=7_000)
    code, said = asked(capsys, "--process", "records")
    assert (code, "WRONG" in said) == (0, False)
    code, said = asked(capsys, "--process", "records", "--pid", "8")
    assert code == 1


@pytest.mark.django_db(transaction=True)
def test_the_command_for_programs(clean_redis, capsys, settings):
    settings.ARI_NODES = {"pbx1": AriNode("pbx1", "http://127.0.0.1:1", "u", "secret-word")}
    code, said = asked(capsys, "--json")
    told = json.loads(said)
    assert (code, told["well"]) == (1, False)
    by_name = {check["name"]: check["well"] for check in told["checks"]}
    assert by_name["database"]
    assert by_name["redis"]
    assert not by_name["node pbx1"]
    assert not by_name["heard pbx1"]
    assert "secret-word" not in said


@pytest.mark.django_db(transaction=True)
def test_a_web_process_that_does_not_serve(clean_redis, capsys, settings):
    settings.WEB_BIND = "127.0.0.1:1"
    code, said = asked(capsys, "--process", "web")
    assert code == 1
    assert "WRONG  The web process does not answer at 127.0.0.1:1." in said


@pytest.mark.django_db(transaction=True)
def test_a_web_process_that_serves(clean_redis, capsys, settings, live_server):
    settings.WEB_BIND = live_server.url.removeprefix("http://")
    settings.ALLOWED_HOSTS = ["localhost"]
    assert asked(capsys, "--process", "web")[0] == 0
