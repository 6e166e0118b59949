"""What cannot be understood in a call's place goes aside, and no call is immortal because of it."""

import pytest

from calls.engine import turn
from calls.machine import table
from calls.machine.commands import DestroyBridge, Hangup
from calls.machine.events import ChannelAnswered, HangupAsked
from calls.machine.session import Phase
from calls.store.mailbox import ATTEND
from calls.store.rejected import STREAM, TOTALS
from tests.engine.office import phase_of
from tests.engine.test_nothing_happens_twice import to_the_talk
from tests.machine.world import CALL, A, b, entered

HASH = f"ringmaster:call:{CALL}"
MAIL = f"ringmaster:mail:{CALL}"


def aside(office):
    """What went aside: kind and data of each entry."""
    entries = [values for _, values in office.client.xrange(STREAM)]
    assert all(values[b"call"].decode() == CALL and values[b"reason"] for values in entries)
    return [(values[b"kind"].decode(), values[b"data"]) for values in entries]


def redis_keys(office):
    return {key.decode() for key in office.client.scan_iter()}


async def fail_until_hopeless(office, monkeypatch):
    """So many turns that the call is given up; the time for it is over at once."""
    monkeypatch.setattr(turn, "HOPELESS_MS", 0)
    monkeypatch.setattr(turn, "NEWER_MS", 0)
    for nth in range(turn.HOPELESS_TURNS):
        assert not office.is_over, nth
        await office.attend()


@pytest.mark.parametrize("rubbish", [b"rubbish", b'["unheard of"]', b'["left",1,2]', b"\xff\x00"])
async def test_an_event_that_is_none_goes_aside_and_the_call_goes_on(office, rubbish, caplog):
    await office.begin()
    office.client.rpush(MAIL, rubbish)
    office.world.answer(b())
    await office.tell()
    await office.attend()

    assert phase_of(office) is Phase.TALKING
    assert office.mail == 0
    assert aside(office) == [("event", rubbish)]
    assert office.client.hgetall(TOTALS) == {b"event": b"1"}
    assert f"Call {CALL}: something is put aside" in caplog.text


async def test_an_event_that_is_none_and_comes_during_a_turn_goes_aside(office):
    async def spoil(command):
        office.client.rpush(MAIL, b"rubbish")
        office.gateway.before = None

    office.gateway.before = spoil
    await office.begin()

    assert phase_of(office) is Phase.DIALLING
    assert office.client.hkeys(HASH) == [b"session"]
    assert aside(office) == [("event", b"rubbish")]


async def test_what_went_aside_twice_because_a_reply_was_lost_is_there_once(office):
    await office.post(entered())
    office.client.rpush(MAIL, b"rubbish")
    await office.mailboxes.take(CALL, "token")
    for _ in range(2):
        await office.mailboxes.set_aside(CALL, "token", [(b"rubbish", "why")])

    assert aside(office) == [("event", b"rubbish")]


async def test_an_event_that_a_fault_of_ours_cannot_take_ends_the_call_with_a_record(
    office, monkeypatch, caplog
):
    await office.begin()
    office.world.answer(b())
    await office.tell()
    await office.attend()
    office.world.now_ms += 10_000
    await office.post(HangupAsked(office.world.now_ms, "root"))
    monkeypatch.setattr(table, "decide", _fault)
    await fail_until_hopeless(office, monkeypatch)

    assert office.is_over
    assert office.world.empty
    (record,) = office.records
    assert (record.disposition, record.integrity, record.ended_by) == (
        "answered",
        "recovered",
        "switch",
    )
    assert record.talk_ms >= 10_000
    assert "a bug" in record.reason
    assert [kind for kind, _ in aside(office)] == ["session", "event"]
    assert office.client.zcard(ATTEND) == 0


def _fault(session, event):
    raise RuntimeError("a bug")


@pytest.mark.parametrize("ends", ["the caller", "the callee", "somebody in the admin"])
async def test_a_call_that_is_given_up_after_its_end_talked_until_its_end(
    office, monkeypatch, ends
):
    """Half a minute goes by until it is given up, for which nobody is billed."""
    await to_the_talk(office)
    office.world.now_ms += 5_000
    ended_ms = office.world.now_ms
    if ends == "somebody in the admin":
        await office.post(HangupAsked(ended_ms, "root"))
    else:
        office.world.end(A if ends == "the caller" else b())
        await office.tell()

    def fault(*args, **options):
        raise ValueError("a fault of ours")

    monkeypatch.setattr(turn, "call_record", fault)
    office.world.now_ms += 35_000
    await fail_until_hopeless(office, monkeypatch)

    (record,) = office.records
    assert record.disposition == "answered"
    assert ended_ms <= record.ended_ms <= ended_ms + 100
    assert 4_900 <= record.talk_ms <= 5_100


async def test_a_call_that_fails_for_a_moment_goes_on_as_if_nothing_had_been(office, monkeypatch):
    monkeypatch.setattr(turn, "HOPELESS_MS", 0)
    await office.begin()
    office.world.answer(b())
    await office.tell()
    decide = table.decide
    for _ in range(3):
        monkeypatch.setattr(table, "decide", _fault)
        for _ in range(turn.HOPELESS_TURNS - 1):
            await office.attend()
        monkeypatch.setattr(table, "decide", decide)
        await office.attend()

    assert phase_of(office) is Phase.TALKING
    assert office.client.hkeys(HASH) == [b"session"]
    assert aside(office) == []


async def test_a_failing_call_is_not_ended_before_its_time(office, monkeypatch):
    await office.begin()
    await office.post(ChannelAnswered(b(), 9))
    monkeypatch.setattr(table, "decide", _fault)
    for _ in range(3 * turn.HOPELESS_TURNS):
        await office.attend()

    assert not office.is_over
    assert int(office.client.hget(HASH, "failed")) == 3 * turn.HOPELESS_TURNS


@pytest.mark.parametrize("data", [b"rubbish", b"[]", b'{"phase":"asleep"}', b'{"v":99,"legs":7}'])
async def test_a_session_that_cannot_be_read_ends_with_its_call(office, monkeypatch, data):
    await office.begin()
    office.client.hset(HASH, "session", data)
    await fail_until_hopeless(office, monkeypatch)

    assert office.is_over
    assert office.world.empty
    (record,) = office.records
    assert (record.disposition, record.integrity) == ("congestion", "recovered")
    assert ("session", data) in aside(office)


async def test_what_can_be_read_of_such_a_session_is_in_the_record(office, monkeypatch):
    await office.begin()
    office.world.answer(b())
    await office.tell()
    await office.attend()
    session = office.client.hget(HASH, "session")
    office.client.hset(HASH, "session", session.replace(b'"talking"', b'"whispering"'))
    await fail_until_hopeless(office, monkeypatch)

    (record,) = office.records
    assert (record.account, record.callee_received, record.trunk) == ("acme", "33123", "carrier-a")
    assert record.disposition == "answered"
    assert office.world.empty


async def test_a_call_of_a_newer_version_is_left_to_its_workers_for_minutes(office, monkeypatch):
    monkeypatch.setattr(turn, "HOPELESS_MS", 0)
    await office.begin()
    session = office.client.hget(HASH, "session")
    office.client.hset(HASH, "session", session.replace(b'"v":1', b'"v":2'))
    for _ in range(3 * turn.HOPELESS_TURNS):
        await office.attend()

    assert not office.is_over
    assert not office.client.hexists(HASH, "token")
    office.client.hset(HASH, "session", session)
    office.world.end(A)
    await office.tell()
    await office.attend()
    await office.settle()
    assert office.records[0].integrity == "complete"


async def test_a_hopeless_call_is_not_over_before_its_channels_are(office, monkeypatch):
    """Asterisk does not answer: nothing is written, and the next turn tries it again."""
    await office.begin()
    office.client.hset(HASH, "session", b"rubbish")
    office.world.broken = dict.fromkeys([Hangup, DestroyBridge], "500 it does not answer")
    monkeypatch.setattr(turn, "HOPELESS_MS", 0)
    monkeypatch.setattr(turn, "NEWER_MS", 0)
    for _ in range(turn.HOPELESS_TURNS):
        await office.attend()
        office.expire_lock()
    assert office.records == []

    office.world.broken = {}
    await office.attend()
    assert len(office.records) == 1
    assert office.world.empty


async def test_a_mailbox_in_which_nothing_can_be_read_leaves_nothing_behind(office):
    office.client.rpush(MAIL, b"rubbish")
    await office.attend()

    assert redis_keys(office) == {STREAM, TOTALS}
