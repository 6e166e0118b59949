"""No password is told to a server whose certificate is not by a trusted authority and for its name.

Certificates are made for each run. Redis and PostgreSQL are real; what a forger would hear is kept
by a listener.
"""

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys

import psycopg2
import pytest
import redis
from aiohttp import web
from celery import Celery
from django.core.exceptions import ImproperlyConfigured

from ari_bridge.client import Unreachable, client_of
from ari_bridge.node import AriNode
from calls.store.mailbox import connect
from project import environment, tls
from tests.lab.packages import need_program
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child
from tests.lab.rabbitmq import RabbitMQ
from tests.lab.services import PostgreSQL
from tests.lab.waiting import wait_for
from tests.tls.conftest import for_user

PASSWORD = "hunter2hunter2"
FORGED = ["foreign", "misnamed"]


@pytest.fixture
def redis_tls(good, tmp_path):
    """A real Redis that speaks TLS only and asks for a password: its rediss:// address."""
    port = free_port()
    child = Child(
        "Redis",
        [
            need_program("redis-server", "redis-server", purpose="Redis"),
            *("--port", "0", "--tls-port", str(port), "--bind", LOOPBACK),
            *("--tls-cert-file", good.cert, "--tls-key-file", good.key),
            *("--tls-ca-cert-file", good.ca, "--tls-auth-clients", "no"),
            *("--requirepass", PASSWORD, "--save", "", "--dir", str(tmp_path)),
        ],
        tmp_path / "redis.log",
    )
    wait_for(
        lambda: "Ready to accept connections" in child.log_tail() or not child.running,
        timeout_s=20,
        failure=child.log_tail,
    )
    assert child.running, child.log_tail()
    yield f"rediss://:{PASSWORD}@{LOOPBACK}:{port}/0"
    child.stop()


def broker(url, ca):
    """The broker's connection as Celery makes it by our settings."""
    app = Celery("tls", set_as_current=False)
    app.conf.broker_write_url = tls.redis_url(url, ca)
    app.conf.broker_use_ssl = tls.amqp_options(url, ca)
    app.conf.broker_transport_options = {"socket_connect_timeout": 2, "socket_timeout": 2}
    return app.connection_for_write(connect_timeout=2)


def talk(connection):
    with connection:
        connection.ensure_connection(max_retries=0, timeout=2, reraise_as_library_errors=False)
        connection.default_channel.client.ping()


def talk_by_redis_py(url):
    with redis.Redis.from_url(url, socket_timeout=2, retry=None) as client:
        return client.ping()


def talk_on_the_hot_path(url):
    async def ping():
        client = connect(url)
        try:
            return await client.ping()
        finally:
            await client.aclose()

    return asyncio.run(ping())


def test_every_client_of_redis_speaks_with_one_by_the_private_authority(redis_tls, good):
    url = tls.redis_url(environment.redis_url("REDIS_URL", redis_tls), good.ca)
    assert talk_by_redis_py(url)
    assert talk_on_the_hot_path(url)
    talk(broker(redis_tls, good.ca))


def test_celery_takes_the_address_of_the_settings_and_not_the_environments(good):
    """Celery itself looks into the environment first, where the address is as it was written."""
    code = (
        "from project.celery import app; c = app.conf; print(c.broker_read_url, c.broker_write_url)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "CELERY_BROKER_URL": "rediss://127.0.0.1:1/0",
            "TLS_CA_FILE": good.ca,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    urls = done.stdout.split()
    assert len(urls) == 2
    assert all("ssl_cert_reqs=required" in url for url in urls)


@pytest.mark.parametrize("by", FORGED)
@pytest.mark.parametrize("client", ["redis-py", "hot path", "broker"])
def test_no_client_of_redis_tells_a_forger_the_password(client, by, listener, good, request):
    forger = listener(request.getfixturevalue(by))
    ca = good.ca if by == "foreign" else request.getfixturevalue(by).ca
    url = f"rediss://:{PASSWORD}@{LOOPBACK}:{forger.port}/0"
    speak = {
        "redis-py": lambda: talk_by_redis_py(tls.redis_url(url, ca)),
        "hot path": lambda: talk_on_the_hot_path(tls.redis_url(url, ca)),
        "broker": lambda: talk(broker(url, ca)),
    }[client]
    with pytest.raises((redis.RedisError, OSError), match=r"(?i)certificate verify failed"):
        speak()
    assert forger.came.wait(5)
    assert forger.heard == b""


def test_what_kombu_does_by_itself_would_tell_a_forger_the_password(listener, foreign):
    """Why project/tls.py adds words to the address: this is the same address without them."""
    forger = listener(foreign)
    app = Celery("tls", set_as_current=False)
    app.conf.broker_write_url = f"rediss://:{PASSWORD}@{LOOPBACK}:{forger.port}/0"
    with contextlib.suppress(Exception):
        talk(app.connection_for_write(connect_timeout=2))
    assert forger.came.wait(5)
    assert PASSWORD.encode() in forger.heard


def test_rabbitmq_by_the_private_authority_is_spoken_with(listener, good):
    server = listener(good)
    url = f"amqps://u:{PASSWORD}@{LOOPBACK}:{server.port}//"
    # The listener hangs up after the greeting of the protocol, which comes after the handshake.
    with contextlib.suppress(Exception):
        talk(broker(url, good.ca))
    assert server.came.wait(5)
    assert server.heard.startswith(b"AMQP")


@pytest.mark.parametrize("by", FORGED)
def test_nothing_is_said_to_a_forged_rabbitmq(by, listener, good, request):
    forger = listener(request.getfixturevalue(by))
    ca = good.ca if by == "foreign" else request.getfixturevalue(by).ca
    with pytest.raises(OSError, match=r"(?i)certificate"):
        talk(broker(f"amqps://u:{PASSWORD}@{LOOPBACK}:{forger.port}//", ca))
    assert forger.came.wait(5)
    assert forger.heard == b""


@pytest.fixture(scope="module")
def rabbitmq_tls(good):
    """A real RabbitMQ that shows the good certificate: its amqps:// address."""
    with RabbitMQ(good) as server:
        yield server.url_by_tls


def test_nudges_go_through_a_rabbitmq_by_the_private_authority_and_through_no_other(
    rabbitmq_tls, good, foreign
):
    with broker(rabbitmq_tls, good.ca) as connection, connection.SimpleQueue("nudges") as queue:
        queue.put({"call": "demo:1"})
        assert queue.get(timeout=5).payload == {"call": "demo:1"}

    for ca in (foreign.ca, ""):
        with pytest.raises(OSError, match="certificate verify failed"):
            broker(rabbitmq_tls, ca).ensure_connection(
                max_retries=0, timeout=2, reraise_as_library_errors=False
            )


@pytest.fixture
def postgresql_tls(good):
    """A real PostgreSQL that shows the good certificate."""
    server = PostgreSQL(durable=False)
    files = for_user(good, server.folder, "postgres" if os.geteuid() == 0 else None)
    server.options = {"ssl": "on", "ssl_cert_file": files.cert, "ssl_key_file": files.key}
    try:
        yield server.start()
    finally:
        server.stop()


def signed_in(url, ca):
    """Whether a connection by our settings is encrypted; raises what psycopg2 raises."""
    config = environment.database(url, ca)
    options = config["OPTIONS"]
    for ours in ("connect_timeout", "sslmode", "sslrootcert"):
        assert ours in options or ours == "sslrootcert"
    with contextlib.closing(
        psycopg2.connect(
            host=config["HOST"],
            port=config["PORT"],
            user=config["USER"],
            dbname=config["NAME"],
            **{k: v for k, v in options.items() if k in ("sslmode", "sslrootcert")},
        )
    ) as connection:
        return connection.info.ssl_in_use


def test_postgresql_is_believed_by_its_certificate_alone(postgresql_tls, good, foreign):
    url = f"{postgresql_tls.url}?sslmode=verify-full"
    assert signed_in(url, good.ca)
    with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
        signed_in(url, foreign.ca)


def test_asterisk_is_believed_by_its_certificate_alone(good, foreign, misnamed):
    heard = []

    async def answer(request):
        heard.append(request.headers["Authorization"])
        return web.json_response({})

    async def ask(certificates, ca):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.cert, certificates.key)
        app = web.Application()
        app.router.add_get("/ari/asterisk/ping", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=context)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        try:
            async with client_of(
                AriNode("pbx1", f"https://{LOOPBACK}:{port}", "u", PASSWORD, ca)
            ) as ari:
                return await ari.request("GET", "/asterisk/ping")
        finally:
            await runner.cleanup()

    assert asyncio.run(ask(good, good.ca)).ok
    assert len(heard) == 1
    for forged, ca in ((foreign, good.ca), (misnamed, misnamed.ca), (good, "")):
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            asyncio.run(ask(forged, ca))
    assert len(heard) == 1


def test_an_authority_that_cannot_be_read_stops_the_start(tmp_path, good):
    assert tls.ca_file(good.ca) == good.ca
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (tmp_path / "none.pem", empty, good.key):
        with pytest.raises(ImproperlyConfigured, match="TLS_CA_FILE"):
            tls.ca_file(str(path))
