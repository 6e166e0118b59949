"""The Redis of docs/redis: nobody without the password, and no more than is needed."""

import asyncio
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import redis

from calls.machine.events import HangupAsked
from calls.store.mailbox import ATTEND, Mailboxes, connect
from project import environment
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.services import Redis
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for
from tests.machine.world import CALL, entered

PASSWORD = "as-long-as-openssl-makes-them"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A Redis with the sample's own files, the password changed as they ask for."""
    users = tmp_path_factory.mktemp("acl") / "users.acl"
    sample = (REPOSITORY / "docs" / "redis" / "users.acl").read_text()
    assert ">change-me " in sample
    users.write_text(sample.replace(">change-me ", f">{PASSWORD} "))
    sample = REPOSITORY / "docs" / "redis" / "ringmaster.conf"
    server = Redis(configuration=[str(sample), "--aclfile", str(users)])
    server.start()
    yield server
    server.stop()


@pytest.fixture
def url(guarded):
    return guarded.url.replace("redis://", f"redis://ringmaster:{PASSWORD}@")


def test_nobody_comes_in_without_the_password(guarded):
    for stranger in (guarded.url, guarded.url.replace("://", "://ringmaster:guess@")):
        with (
            redis.Redis.from_url(stranger) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.get("ringmaster:config_version")


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("SHUTDOWN",),
        ("DEBUG", "SLEEP", "0"),
        ("ACL", "LIST"),
        ("REPLICAOF", "192.0.2.1", "6379"),
        ("MODULE", "LIST"),
        ("SET", "somebody:else", "1"),
        ("EVAL", "return redis.call('SET', 'somebody:else', 1)", "0"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
    ],
)
def test_the_user_may_do_what_ringmaster_does_and_no_more(url, command):
    with redis.Redis.from_url(url) as client, pytest.raises(redis.ResponseError):
        client.execute_command(*command)


def test_the_workers_work_with_it(url, tmp_path: Path):
    """A call is posted, attended to and finished, and its record written, by real processes."""

    async def post():
        client = connect(url)
        mailboxes = Mailboxes(client)
        await mailboxes.load_scripts()
        await mailboxes.post([(CALL, entered()), (CALL, HangupAsked(2_000, "test"))])
        await client.aclose()

    settings = dict.fromkeys(("REDIS_URL", "LIMITS_REDIS_URL", "CELERY_BROKER_URL"), url)
    settings |= {"DATABASE_URL": f"sqlite:///{tmp_path}/x.sqlite3", "ARI_NODES": ""}
    with (
        redis.Redis.from_url(url) as client,
        Stack(tmp_path, settings, only=["calls", "records"]) as stack,
    ):
        stack.wait_ready()
        asyncio.run(post())
        client.zadd(ATTEND, {CALL: 0})
        wait_for(
            lambda: client.hget(f"ringmaster:call:{CALL}", "session"),
            timeout_s=20,
            failure=lambda: stack.log("calls")[-3000:],
        )
        for name in ("calls", "records"):
            assert "NOPERM" not in stack.log(name), stack.log(name)[-3000:]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://127.0.0.1:6379/0", False),
        ("redis://localhost:6379/0", False),
        ("redis://[::1]:6379/0", False),
        ("redis://10.0.0.5:6379/0", True),
        ("rediss://redis.example/0", True),
        ("redis://ringmaster@redis.example/0", True),
        ("redis://ringmaster:secret@redis.example/0", False),
        ("amqp://user:password@rabbit.example//", False),
    ],
)
def test_a_redis_that_strangers_reach_without_a_password_is_complained_of(url, told):
    sentences = environment.unlocked_redis({"REDIS_URL": url, "CELERY_BROKER_URL": url})

    assert len(sentences) == told
    assert all("WHOEVER REACHES IT" in sentence for sentence in sentences)


def test_every_start_says_so():
    done = subprocess.run(
        [sys.executable, "manage.py", "live_calls", "--help"],
        cwd=REPOSITORY,
        env={**os.environ, "REDIS_URL": "redis://192.0.2.1:6379/0"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "WHOEVER REACHES IT CAN PLACE CALLS" in done.stderr


@pytest.mark.parametrize("application", ["project.celery", "project.records"])
def test_no_worker_takes_orders_from_the_broker(application):
    assert import_module(application).app.conf.worker_enable_remote_control is False
