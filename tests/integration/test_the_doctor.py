"""The doctor: all well where all is well, and the right sentence for each way to be ill.

One Ringmaster on a real Asterisk is made ill in one way at a time, and made well again.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from ari_bridge.decoding import EVENT_TYPES
from ari_bridge.doctor import trial_call
from ari_bridge.doctor.diagnosis import diagnose
from ari_bridge.doctor.facts import Finding, Level
from ari_bridge.management.commands.ari_doctor import gather
from ari_bridge.node import AriNode
from calls.models import Trunk
from cdr.models import Cdr
from project import environment
from tests.integration.conftest import _test_database_url
from tests.integration.ward import NODE, Ward, ward
from tests.lab.asterisk import ARI_APP, Asterisk
from tests.lab.asterisk_config import REPOSITORY, set_option, without_careless_callers
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.ports import free_port
from tests.lab.waiting import wait_for

Illness = AbstractContextManager[None]


@pytest.fixture(scope="module")
def _one_ward(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with ExitStack() as things:
        try:
            running = things.enter_context(
                ward(tmp_path_factory.mktemp("ward"), {"DATABASE_URL": _test_database_url()})
            )
        except LabError as error:
            cannot_be_had(error)
        yield running


@pytest.fixture
def sick(
    transactional_db: None,
    _one_ward: Ward,
    settings: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Ward:
    """The Ringmaster to make ill; this process has its settings."""
    settings.ARI_NODES = environment.ari_nodes(_one_ward.asterisk.ari_nodes)
    settings.REDIS_URL = settings.LIMITS_REDIS_URL = settings.CELERY_BROKER_URL = (
        _one_ward.redis.url
    )
    monkeypatch.setattr(trial_call, "PATIENCE_S", 3.0)
    Trunk.objects.create(name="carrier-b", dial_string="PJSIP/{number}@carrier-b")
    wait_for(
        lambda: _one_ward.asterisk.has_app(ARI_APP),
        timeout_s=10,
        failure=lambda: "The bridge has not come back.",
    )
    return _one_ward


def examine(settings: pytest.FixtureRequest, *, call: bool = False) -> list[Finding]:
    return diagnose(gather(list(settings.ARI_NODES.values()), call=call))


def bad(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level is not Level.WELL]


def node_of(settings: pytest.FixtureRequest) -> AriNode:
    return settings.ARI_NODES[NODE]


# --- Ways to be ill. Each is a function of the ward and of this process's settings. ---


@contextmanager
def as_it_is(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    yield


@contextmanager
def another_password(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    settings.ARI_NODES = {NODE: replace(node_of(settings), password="not the one")}
    yield


@contextmanager
def an_empty_port(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    settings.ARI_NODES = {NODE: replace(node_of(settings), url=f"http://127.0.0.1:{free_port()}")}
    yield


@contextmanager
def a_name_that_nobody_has(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    settings.ARI_NODES = {NODE: replace(node_of(settings), url="http://pbx.invalid:8088")}
    yield


@contextmanager
def one_asterisk_twice(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    node = node_of(settings)
    settings.ARI_NODES = {NODE: node, "other": replace(node, name="other")}
    yield


@contextmanager
def a_second_asterisk_called_alike(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    def alike(folder: Path, name: str) -> None:
        without_careless_callers(folder, name)
        path = folder / "asterisk.conf"
        path.write_text(set_option(path.read_text(), "options", "systemname", NODE))

    with Asterisk(node="second", prepare=alike) as second:
        settings.ARI_NODES = settings.ARI_NODES | environment.ari_nodes(second.ari_nodes)
        yield


def option(file: str, section: str, name: str, value: str, *reloads: str) -> Callable[..., Illness]:
    return lambda sick, settings: sick.changed(
        file, lambda text: set_option(text, section, name, value), *reloads
    )


def line(file: str, old: str, new: str, *reloads: str) -> Callable[..., Illness]:
    return lambda sick, settings: sick.changed(
        file, lambda text: re.sub(old, new, text, flags=re.M), *reloads
    )


@contextmanager
def another_filter(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    def allow(types: tuple[str, ...]) -> None:
        allowed = {"allowed": [{"type": name} for name in types]}
        path = f"applications/{ARI_APP}/eventFilter"
        assert sick.asterisk.rest("PUT", path, body=allowed)[0] == 200

    allow(tuple(name for name in EVENT_TYPES if name != "ChannelDestroyed"))
    try:
        yield
    finally:
        allow(EVENT_TYPES)


@contextmanager
def a_trunk_to_nobody(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    Trunk.objects.create(name="gone", dial_string="PJSIP/{number}@nobody")
    yield


@contextmanager
def a_forbidden_trunk(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    Trunk.objects.create(name="wild", dial_string="Local/{number}@anywhere")
    yield


@contextmanager
def a_table_behind(sick: Ward, settings: pytest.FixtureRequest) -> Iterator[None]:
    recorder = MigrationRecorder(connection)
    app, name = max(key for key in recorder.applied_migrations() if key[0] == "cdr")
    recorder.record_unapplied(app, name)
    try:
        yield
    finally:
        recorder.record_applied(app, name)


def redis_set(name: str, value: str) -> Callable[..., Illness]:
    return lambda sick, settings: sick.redis_set(name, value)


def without(process: str) -> Callable[..., Illness]:
    return lambda sick, settings: sick.without(process)


DIALPLAN = "dialplan reload"
ILL = {
    "another password": (another_password, "ari-user", "refuses the user 'ringmaster'"),
    "nothing at that port": (an_empty_port, "ari-reachable", "cannot be reached at http://127"),
    "a name that nobody has": (a_name_that_nobody_has, "host-name", "pbx.invalid .* not resolve"),
    "ARI is off": (
        option("ari.conf", "general", "enabled", "no", "module reload res_ari.so"),
        "ari-reachable",
        "no ARI in it",
    ),
    "a user who may only read": (
        option("ari.conf", "ringmaster", "read_only", "yes", "module reload res_ari.so"),
        "ari-rights",
        "'ringmaster' may only read",
    ),
    "few connections": (
        option("http.conf", "general", "sessionlimit", "30", "module reload http"),
        "sessionlimit",
        r"takes 30 connections, but 1 bridge and 1 calls worker may open 31",
    ),
    "the default write timeout": (
        line("ari.conf", "^websocket_write_timeout.*$", "", "module reload res_ari.so"),
        "websocket-write-timeout",
        "a write to the WebSocket 100 ms",
    ),
    "connections closed early": (
        option("http.conf", "general", "session_keep_alive", "5000", "module reload http"),
        "session-keep-alive",
        "idle connection after 5000 ms",
    ),
    "a pattern that matches h": (
        line("extensions.conf", r"^exten = _\[A-Za-z\]\.,", "exten = _[A-Za-z]!,", DIALPLAN),
        "dialplan-h",
        r"In \[from-callers\], _\[A-Za-z\]! also matches Asterisk's own extension h and T",
    ),
    "STASISSTATUS not looked at": (
        line("extensions.conf", r"^ same = n,ExecIf\(.*STASISSTATUS.*$", "", DIALPLAN),
        "dialplan-stasisstatus",
        r"\[from-callers\] does not look at STASISSTATUS",
    ),
    "no limit of Asterisk's own": (
        line("extensions.conf", r"Set\(TIMEOUT\(absolute\)=.*\)$", "NoOp()", DIALPLAN),
        "dialplan-timeout",
        r"\[from-callers\] sets no TIMEOUT\(absolute\)",
    ),
    "calls for another application": (
        line("extensions.conf", "^ARI_APP = .*$", "ARI_APP = elsewhere", DIALPLAN),
        "dialplan-application",
        r"hands calls to Stasis\(ringmaster\), but to elsewhere",
    ),
    "another event filter": (another_filter, "event-filter", "keeps back ChannelDestroyed"),
    "one Asterisk under two names": (one_asterisk_twice, "entityid-twice", "ward and other have"),
    "two Asterisks with one name": (
        a_second_asterisk_called_alike,
        "systemname-twice",
        "ward and second have the same systemname, ward",
    ),
    "a trunk to nobody": (
        a_trunk_to_nobody,
        "trunk-endpoint",
        "node ward has no PJSIP endpoint nobody",
    ),
    "a trunk that the settings forbid": (
        a_forbidden_trunk,
        "trunk-dial-string",
        "wild is skipped: its dial string dials the context 'anywhere'",
    ),
    "a carrier without an address": (
        line("pjsip_endpoints.conf", r"(?<=\[carrier-b\]\ntype = aor\n)contact.*$", "",
             "module reload res_pjsip.so"),
        "trunk-reachable",
        "endpoint carrier-b is offline",
    ),
    "a phone whose redirects are followed": (
        line("pjsip_endpoints.conf", r"(?<=\[phone-busy\]\(caller,lab\)\n)",
             "redirect_method = uri_pjsip\n", "module reload res_pjsip.so"),
        "redirects",
        "follows a 302 of phone-busy: who answers so sends a call to any address",
    ),
    "a Redis that evicts": (
        redis_set("maxmemory-policy", "allkeys-lru"),
        "redis-policy",
        "maxmemory-policy allkeys-lru",
    ),
    "a Redis that keeps nothing": (
        redis_set("appendonly", "no"),
        "redis-persistence",
        "keeps no append-only file",
    ),
    "a table behind": (a_table_behind, "migrations", "1 migrations have not been run"),
}  # fmt: skip


@pytest.mark.parametrize(("illness", "check", "sentence"), ILL.values(), ids=ILL)
def test_each_illness_is_told_in_its_sentence(
    sick: Ward,
    settings: pytest.FixtureRequest,
    illness: Callable[..., Illness],
    check: str,
    sentence: str,
) -> None:
    with illness(sick, settings):
        findings = bad(examine(settings))

    told = [each for each in findings if each.check == check]
    assert told, findings
    assert re.search(sentence, told[0].sentence), told
    assert all(each.fix for each in findings)
    # What follows from it may be told too, and nothing else.
    assert len({each.check for each in findings}) <= 3, findings


@pytest.mark.parametrize(
    ("process", "sentence", "trial"),
    [
        ("records", "call records wait in Redis", "is over, but its call record is not in"),
        ("calls", "no call is attended to", "no calls worker has finished it"),
        ("bridge", "new calls are not heard", "was never heard of"),
    ],
)
def test_a_process_that_is_away_is_named_and_the_trial_call_says_where_it_stopped(
    sick: Ward, settings: pytest.FixtureRequest, process: str, sentence: str, trial: str
) -> None:
    with sick.without(process):
        findings = {each.check: each for each in bad(examine(settings, call=True))}

    assert sentence in findings["processes"].sentence
    assert trial in findings["trial-call"].sentence
    assert (len(findings) == 2) is (process != "bridge")


def test_all_is_well_on_the_lab_and_the_trial_call_leaves_one_record_and_nothing_else(
    sick: Ward, settings: pytest.FixtureRequest
) -> None:
    Cdr.objects.all().delete()
    done = subprocess.run(
        [sys.executable, "manage.py", "ari_doctor", "--json"],
        cwd=REPOSITORY,
        env=os.environ
        | {
            "ARI_NODES": sick.asterisk.ari_nodes,
            "REDIS_URL": sick.redis.url,
            "LIMITS_REDIS_URL": sick.redis.url,
            "CELERY_BROKER_URL": sick.redis.url,
            "DATABASE_URL": _test_database_url(),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    findings = [json.loads(row) for row in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout + done.stderr
    assert {each["level"] for each in findings} == {"well"}, done.stdout
    assert findings[-1]["check"] == "trial-call"
    assert "through [from-callers]" in findings[-1]["sentence"]
    (record,) = Cdr.objects.all()
    assert (record.disposition, record.integrity, record.caller_name) == (
        "unauthorized",
        "complete",
        "Ringmaster doctor",
    )
    assert sick.asterisk.leftovers() == []
