"""What should not happen, or not often, is counted where it happens."""

import asyncio

import pytest

from ari_bridge import metrics as bridge_metrics
from ari_bridge.client import Answered, BoundedClient, Unreachable
from ari_bridge.listener import Listener
from calls.engine import turn
from calls.engine.shares import SILENT, Shares
from calls.limits.health import LEAST
from calls.store.counters import Limits
from calls.store.mailbox import call_key, connect, mail_key
from cdr.found_ends import FoundEnds
from cdr.record import Integrity
from tests.ari_bridge.conftest import LeaseStub, MarkStub
from tests.cdr.conftest import add, make_writer, stream
from tests.cdr.made_up import record
from tests.engine.conftest import mailboxes, office
from tests.limits.conftest import OpenBook
from tests.machine.world import CALL, b
from tests.metrics.readings import Readings

__all__ = ["add", "mailboxes", "make_writer", "office", "stream"]


async def test_a_call_that_is_taken_over_from_a_worker_that_died(office, clean_redis):
    await office.begin()
    clean_redis.hset(call_key(CALL), mapping={"token": "of the dead", "until": 1})
    readings = Readings()
    office.world.ring(b())
    await office.tell()
    await office.attend()
    assert readings.grown("ringmaster_lock_takeovers_total") == 1


async def test_a_lock_that_is_lost_in_the_middle_of_a_turn(office, clean_redis):
    async def lose(command):
        clean_redis.hset(call_key(CALL), "token", "of another")

    office.gateway.before = lose
    readings = Readings()
    await office.begin()
    assert readings.grown("ringmaster_locks_lost_total") == 1


async def test_a_call_gone_silent_is_doubted(office):
    await office.begin()
    readings = Readings()
    office.world.now_ms = office.session.wake_ms + 1
    await office.attend()
    assert readings.grown("ringmaster_doubts_total") == 1


async def test_a_call_whose_turns_all_fail_is_given_up(office, clean_redis, monkeypatch):
    monkeypatch.setattr(turn, "HOPELESS_MS", 0)
    await office.begin()
    readings = Readings()
    clean_redis.hset(call_key(CALL), "session", b"rubbish")
    clean_redis.rpush(mail_key(CALL), b"rubbish")
    for _ in range(turn.HOPELESS_TURNS):
        await office.attend()
    assert readings.grown("ringmaster_turns_failed_total") == turn.HOPELESS_TURNS
    assert readings.grown("ringmaster_calls_given_up_total") == 1
    assert readings.grown("ringmaster_calls_recovered_total") == 1


def test_a_node_that_answers_no_more():
    readings = Readings()
    shares = Shares(8, nodes=2)
    for _ in range(SILENT):
        shares.note("pbx8", answered=False)
    assert readings.grown("ringmaster_node_breaker_open", node="pbx8") == 1
    shares.note("pbx8", answered=True)
    assert readings.grown("ringmaster_node_breaker_open", node="pbx8") == 0


class _Client:
    """Answers requests with what it is given."""

    node = None

    def __init__(self, outcome):
        self._outcome = outcome

    async def request(self, *_):
        if self._outcome is None:
            await asyncio.sleep(60)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    repeatable = request


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Answered(204, b""), "204"),
        (Answered(409, b""), "409"),
        (Unreachable("gone", sent=True), "unreachable"),
        (None, "cancelled"),
    ],
)
@pytest.mark.parametrize("how", ["request", "repeatable"])
async def test_requests_by_command_and_status(outcome, status, how):
    client = BoundedClient(_Client(outcome), 60.0, lambda: 0, "dial")
    readings = Readings()
    try:
        async with asyncio.timeout(0.05):
            await getattr(client, how)("POST", "/channels/x/dial")
    except (Unreachable, TimeoutError):
        assert status in ("unreachable", "cancelled")
    assert readings.grown("ringmaster_rest_requests_total", command="dial", status=status) == 1
    assert readings.grown("ringmaster_rest_request_seconds_count", command="dial") == 1


def _listener(double_node):
    return Listener(double_node, "ringmaster", _Poster(), None, LeaseStub(), MarkStub())


class _Poster:
    def add(self, call, event):
        pass


class _Node:
    name = "pbx7"


def test_events_by_type_and_the_echo():
    listener = _listener(_Node())
    readings = Readings()
    at = "2026-11-29T22:00:00.000+0000"
    channel = {"id": "1.1.b1", "name": "PJSIP/a", "state": "Ringing"}
    listener._handle(
        f'{{"type":"ChannelUserevent","userevent":{{"token":"another"}},"timestamp":"{at}"}}'
    )
    assert readings.grown("ringmaster_echo_seconds_count", node="pbx7") == 0
    listener._echo_sent = "ours"
    for _ in range(2):
        listener._handle(
            f'{{"type":"ChannelUserevent","userevent":{{"token":"ours"}},"timestamp":"{at}"}}'
        )
    assert readings.grown("ringmaster_echo_seconds_count", node="pbx7") == 1, "an echo counts once"
    text = str(channel).replace("'", '"')
    listener._handle(f'{{"type":"ChannelDtmfReceived","channel":{text},"timestamp":"{at}"}}')
    ignored = {"node": "pbx7", "type": bridge_metrics.IGNORED}
    assert readings.grown("ringmaster_events_total", **ignored) == 1
    assert readings.grown("ringmaster_events_total", node="pbx7") == 1


async def test_a_trunk_that_goes_down(redis_url, clean_redis):
    limits = Limits(connect(redis_url), OpenBook())
    readings = Readings()
    for _ in range(LEAST):
        limits.proofs.note("carrier-x", False)
    await limits.flush()
    changed = {"trunk": "carrier-x", "state": "down"}
    assert readings.grown("ringmaster_trunk_state_changes_total", **changed) == 1
    await limits.close()


@pytest.mark.django_db
def test_records_written_and_set_aside(add, make_writer):
    readings = Readings()
    add(record(), b"no record")
    make_writer().write_once()
    assert readings.grown("ringmaster_cdrs_written_total") == 1
    assert readings.grown("ringmaster_cdr_delay_seconds_count") == 1
    assert readings.grown("ringmaster_cdrs_rejected_total", kind="bad") == 1
    add(record(disposition="busy"))
    make_writer().write_once()
    assert readings.grown("ringmaster_cdrs_rejected_total", kind="double") == 1
    add(record(ended_ms=record().ended_ms + 900, integrity=Integrity.RECOVERED))
    make_writer(found_ends=FoundEnds(wait_s=0)).write_once()
    assert readings.grown("ringmaster_cdrs_retold_total") == 1
