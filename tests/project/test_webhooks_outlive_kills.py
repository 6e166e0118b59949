"""A thousand calls end, the receiver fails three times in ten, and processes are killed.

The records worker and the sender are those of the Procfile. Each ending is delivered, whatever was
cut off where, always under the same id, with a signature that a library of others takes.
"""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from django.conf import settings

from cdr.stream import FIELD, STREAM
from tests.lab.stack import Stack
from tests.lab.traffic import calls
from tests.lab.waiting import wait_for
from tests.webhooks.receiver import Receiver, failing

CALLS = 1_000
KILLS = {100: "webhooks", 250: "records", 450: "webhooks", 650: "records", 850: "webhooks"}
"""What is killed once so many endings were delivered."""
PATIENCE_S = 120
MAKE = """
from calls.models import WebhookEndpoint
endpoint = WebhookEndpoint(name='crm', url={url!r}, events='call.ended')
print(endpoint.new_secret())
endpoint.save()
"""


@pytest.fixture
def environment(redis_url, tmp_path):
    return {
        "REDIS_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{tmp_path}/webhooks.sqlite3",
        "WEBHOOK_ALLOW_HTTP": "true",
        "WEBHOOK_ALLOW_PRIVATE": "127.0.0.1",
        "WEBHOOK_RETRY_S": ",".join(["0"] * 50),
        "LOG_LEVEL": "INFO",
    }


def manage(environment, *arguments):
    ran = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={**os.environ, **environment},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_every_ending_is_delivered_though_processes_are_killed(clean_redis, environment, tmp_path):
    manage(environment, "migrate", "--verbosity", "0")
    records = list(calls(CALLS, 1_760_000_000_000, 1_760_000_400_000))
    with Receiver(answer=failing(0.3)) as receiver:
        made = manage(environment, "shell", "--no-imports", "-c", MAKE.format(url=receiver.url))
        receiver.secret = made
        with Stack(tmp_path, environment, only=["records", "webhooks"]) as stack:
            stack.wait_ready()
            for record in records:
                clean_redis.xadd(STREAM, {FIELD: record.to_json()})
            for delivered, name in KILLS.items():
                wait(stack, receiver, delivered)
                stack.kill(name)
                stack.restart(name)
            wait(stack, receiver, CALLS)
            # The sender notes what came of an attempt after it, and each is delivered in the end.
            wait_for(
                lambda: states(tmp_path) == {"delivered": CALLS},
                timeout_s=PATIENCE_S,
                failure=lambda: f"{states(tmp_path)}\n{stack.log('webhooks')[-2000:]}",
            )

    assert receiver.wrong == []
    told = {
        message_id: {message["data"]["call_id"] for message in messages}
        for message_id, messages in receiver.taken.items()
    }
    assert all(len(of_id) == 1 for of_id in told.values())
    assert sorted(call for of_id in told.values() for call in of_id) == sorted(
        record.call_id for record in records
    )
    assert receiver.attempts.total() > CALLS


def wait(stack, receiver, delivered):
    wait_for(
        lambda: len(receiver.taken) >= delivered,
        timeout_s=PATIENCE_S,
        failure=lambda: f"{len(receiver.taken)} delivered:\n{stack.log('webhooks')[-2000:]}",
    )


def states(folder):
    with closing(sqlite3.connect(folder / "webhooks.sqlite3", timeout=20)) as database:
        counted = "SELECT state, count(*) FROM calls_webhookdelivery GROUP BY state"
        return dict(database.execute(counted))
