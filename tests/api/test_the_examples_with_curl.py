"""Every example of docs/api.md is run by curl, in order, and answers what the page shows."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field

import pytest

from calls.clock import wall_clock_ms
from calls.models import Account, Route, RouteTarget, Trunk, WebhookEndpoint
from calls.models.tokens import SCOPES
from calls.store.mailbox import ATTEND
from tests.api.test_calls_and_records import record
from tests.lab import live
from tests.lab.asterisk_config import REPOSITORY
from tests.story.keeping import keep_real_call

PAGE = (REPOSITORY / "docs" / "api.md").read_text()
CALL, WEBHOOK, DELIVERY = "pbx1:1795558316.26", "webhooks/7", "deliveries/4711"
MESSAGE = "msg_9f86d081884c7d659a2feaa0c55ad015"
"""As the page calls them."""
PATIENCE_S = 20


@dataclass
class Example:
    """A command, and the fields of the answer that is shown under it, if one is."""

    command: str
    shown: list[str] = field(default_factory=list)


def examples() -> list[Example]:
    """The commands of the page, in order, without the three lines that set the shell up."""
    found: list[Example] = []
    for line in re.findall(r"^ {4}(\S.*)$", PAGE, re.M):
        if line.startswith("{"):
            found[-1].shown = re.findall(r'"(\w+)":', _outermost(line))
        elif not line.startswith(("TOKEN=", "AT=", "ask()")):
            found.append(Example(line))
    return found


def _outermost(answer: str) -> str:
    """The answer without what stands in the brackets within its own."""
    within = answer[1:-1]
    while (shorter := re.sub(r"\[[^][{}]*\]|\{[^][{}]*\}", "", within)) != within:
        within = shorter
    return within


def setup() -> str:
    """How the page defines ``ask``."""
    (line,) = re.findall(r"^ {4}(ask\(\) .*)$", PAGE, re.M)
    return line


@pytest.fixture
def switch(clean_redis, settings) -> dict[str, str]:
    """What the page speaks of: the names that it uses, and those that they have here."""
    settings.ARI_NODES = {"pbx1": None}
    acme = Account.objects.create(code="acme", name="Acme", allowed_prefixes="", phones="alice")
    trunk = Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")
    RouteTarget.objects.create(route=Route.objects.create(prefix=""), trunk=trunk)
    record(1, account=acme.code, disposition="busy")
    return {CALL: keep_real_call()}


def here(example: Example, names: dict[str, str], redis) -> str:
    """The command with the names of what there is."""
    command = example.command
    if f"/calls/{CALL}" in command:
        (call,) = live.put(redis, [live.session(1, now_ms=wall_clock_ms())])
        command = command.replace(CALL, call)
    if command.startswith("until"):
        # By now the calls that are up have ended.
        redis.delete(ATTEND)
    for shown, real in names.items():
        command = command.replace(shown, real)
    return command


def test_the_page_names_every_scope_and_whose_it_may_be():
    told = re.findall(r"^\| `([a-z]+:[a-z]+)` \| (.+?) \| (yes)? ?\|$", PAGE, re.M)
    assert told == [
        (name, scope.words, "yes" if scope.accounts else "") for name, scope in SCOPES.items()
    ]


@pytest.mark.django_db(transaction=True)
def test_every_example_works_and_answers_what_is_shown(
    switch, live_server, roles, token_for, clean_redis
):
    bash = shutil.which("bash")
    assert bash
    tokens = {False: token_for(roles), True: token_for(Account.objects.get())}
    for example in examples():
        command = here(example, switch, clean_redis)
        ran = subprocess.run(
            [bash, "-euo", "pipefail", "-c", f"{setup()}\n{command}"],
            env={
                # Who calls from a phone of its own is an account; all else is for staff.
                "TOKEN": tokens['"phone"' in command],
                "AT": f"{live_server.url}/api/v1",
                "PATH": os.environ["PATH"],
                "NO_PROXY": "*",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        if example.shown:
            answer = json.loads(ran.stdout)
            assert set(example.shown) <= set(answer), f"{command}\n{ran.stdout}"
            if command.endswith('/test"'):
                switch[DELIVERY] = f"deliveries/{answer['id']}"
                switch[MESSAGE] = answer["message_id"]
            if '"$AT/webhooks" -d' in command:
                switch[WEBHOOK] = f"webhooks/{answer['id']}"
    assert {WEBHOOK, DELIVERY} <= set(switch), "the page makes a webhook and tests it"
    assert not WebhookEndpoint.objects.exists()
