"""The lab's Redis and PostgreSQL: private, durable where they should be, and gone afterwards."""

import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
import redis

from tests.lab import packages, services
from tests.lab.errors import LabError


def test_redis_keeps_its_data_over_a_restart_and_evicts_nothing():
    server = services.Redis().start()
    try:
        with redis.Redis.from_url(server.url) as client:
            client.set("call", "kept")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        server.stop()
        server.start()

        with redis.Redis.from_url(server.url) as client:
            assert client.get("call") == b"kept"
    finally:
        server.stop()


def test_redis_is_reached_on_loopback_only():
    server = services.Redis().start()
    try:
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
    finally:
        server.stop()


def test_the_redis_context_leaves_no_process_and_no_folder(monkeypatch):
    monkeypatch.delenv(services.REDIS_URL_SETTING, raising=False)
    with services.redis_url() as url, redis.Redis.from_url(url) as client:
        info = client.info("server")
        folder = Path(client.config_get("dir")["dir"])
        assert folder.exists()

    assert not Path(f"/proc/{info['process_id']}").exists()
    assert not folder.exists()


def test_postgresql_serves_a_database_and_is_gone_afterwards(monkeypatch):
    monkeypatch.delenv(services.DATABASE_URL_SETTING, raising=False)
    with services.database_url() as url:
        connection = psycopg2.connect(url)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_database(), current_setting('listen_addresses')")
            assert cursor.fetchone() == ("ringmaster", "127.0.0.1")
            cursor.execute("SELECT current_setting('data_directory')")
            folder = Path(cursor.fetchone()[0])
        connection.close()

    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url, connect_timeout=2)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("setting", "context", "url"),
    [
        (services.REDIS_URL_SETTING, services.redis_url, "redis://10.0.0.1/3"),
        (services.DATABASE_URL_SETTING, services.database_url, "postgres://u@10.0.0.1/d"),
    ],
)
def test_a_service_the_environment_names_is_used(monkeypatch, setting, context, url):
    monkeypatch.setenv(setting, url)

    with context() as used:
        assert used == url


def test_who_is_not_root_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)

    with pytest.raises(LabError, match="apt-get install redis-server"):
        packages.need_program("no-such-redis", "redis-server", purpose="Redis")


def test_a_command_that_fails_shows_its_last_lines():
    with pytest.raises(LabError, match=r"Doing it failed \(exit code 3\):\n  why"):
        packages.run_visibly("Doing it", ["sh", "-c", "echo why; exit 3"])


def test_the_command_under_postgres_gives_its_own_exit_code():
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.with_postgres", "sh", "-c", "echo $DATABASE_URL; exit 7"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 7
    assert done.stdout.startswith("postgres://postgres@127.0.0.1:")
