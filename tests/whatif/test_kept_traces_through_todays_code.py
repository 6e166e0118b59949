"""`manage.py replay_traces`: the same code treats a thousand kept calls as it did; a changed rule
is found by the calls that it would treat otherwise."""

import io
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from django.core.management import CommandError, call_command

from calls import causes
from calls.machine import talk
from calls.whatif.retracing import retrace_all
from cdr.models import CallTrace, Cdr
from cdr.packing import pack
from cdr.writer import store
from tests.machine.world import A, b, plan, target
from tests.story.journals import Noting, answered, begun, over, refused_by_carrier

pytestmark = pytest.mark.django_db

TWO = plan(target("carrier-a"), target("carrier-b"))
STARTED = datetime(2026, 11, 24, tzinfo=UTC)


def gave_up():
    world = begun()
    world.ring(b())
    world.end(A, 127)
    return over(world)


def failed_over():
    world = refused_by_carrier(34, 503, found=TWO)
    world.answer(b(2))
    world.hear_all()
    world.end(b(2))
    return over(world)


def doubted():
    world = begun()
    world.end(b(), 17, 486)
    world.told.clear()
    world.doubt()
    return over(world)


KINDS = {
    "answered": answered,
    "busy": lambda: over(refused_by_carrier(17, 486)),
    "failed over": failed_over,
    "gave up": gave_up,
    "doubted": doubted,
}


def keep(kind: str, number: int, *, node: str = "demo", written: bool = True) -> str:
    """Put a call of this kind into the database, as the records worker does."""
    world: Noting = KINDS[kind]()
    call = f"{node}:{A.partition('.')[0]}.{number}"
    journal = world.journal.replace(A.encode(), call.partition(":")[2].encode())
    world.call_id = call
    world.pages = [journal]
    record = world.course.record
    assert record is not None
    if written:
        store([record])
    CallTrace.objects.create(
        call_id=call,
        node=node,
        started_at=STARTED + timedelta(seconds=number),
        keep_until=STARTED.date(),
        journal=pack(journal),
    )
    return call


def run(*args: str) -> tuple[int, str]:
    out = io.StringIO()
    code = 0
    try:
        call_command("replay_traces", *args, stdout=out)
    except SystemExit as ended:
        code = int(str(ended.code))
    return code, out.getvalue()


def test_the_same_code_treats_a_thousand_calls_as_it_did():
    for number in range(1_000):
        keep(list(KINDS)[number % len(KINDS)], number)

    code, said = run()

    assert (code, said) == (0, "1,000 calls looked at, 0 would be treated otherwise.\n")


def test_a_changed_rule_is_found_by_its_calls_and_by_no_other(monkeypatch):
    calls = {kind: keep(kind, number) for number, kind in enumerate(KINDS)}
    changed = dict(causes.BY_SIP) | {486: causes.BY_SIP[404]}
    monkeypatch.setattr(causes, "BY_SIP", MappingProxyType(changed))

    code, said = run()

    assert code == 1
    assert [line for line in said.splitlines() if line.startswith("demo:")] == [
        f"{calls['busy']}  2026-11-24 00:00:01"
    ]
    assert "disposition: then busy, now unallocated" in said
    assert said.endswith("5 calls looked at, 1 would be treated otherwise.\n")


def test_a_change_of_what_is_done_is_found_without_a_record(monkeypatch):
    """Hanging up otherwise is no difference of a disposition."""
    keep("gave up", 1, written=False)
    monkeypatch.setattr(causes, "NORMAL_CLEARING", 31)

    code, said = run()

    assert code == 1
    assert "hangup 1763900000.1.b1 16, now nothing" in said
    assert "(1 without a record to compare)" in said


def test_code_that_fails_on_a_kept_call_is_a_difference(monkeypatch):
    keep("answered", 1)

    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(talk, "limit_ms", broken)

    code, said = run()

    assert code == 1
    assert "the code: then worked, now RuntimeError: a fault" in said


def test_a_trace_that_cannot_be_read_is_a_difference():
    keep("answered", 1)
    CallTrace.objects.update(journal=b"nonsense")

    code, said = run()

    assert code == 1
    assert "cannot be read" in said


def test_a_record_that_was_written_otherwise_is_a_difference():
    keep("answered", 1)
    Cdr.objects.update(talk_ms=1)

    assert "talk_ms: then 1, now " in run()[1]


def test_only_calls_since_then_of_that_node_are_looked_at():
    keep("answered", 1)
    keep("answered", 3_700)
    keep("answered", 3_800, node="other")

    assert run("--since", "2026-11-24T01:00")[1].startswith("2 calls")
    assert run("--since", "2026-11-24T01:00", "--node", "demo")[1].startswith("1 calls")
    assert run("--most", "2")[1].startswith("2 calls")
    assert run("--since", "1m")[1].startswith("0 calls")


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "7w", "-3d"])
def test_what_is_no_time_is_refused_with_a_sentence(since):
    with pytest.raises(CommandError, match="which is no time"):
        call_command("replay_traces", f"--since={since}")


def test_traces_of_the_same_moment_are_each_looked_at_once(monkeypatch):
    monkeypatch.setattr("calls.whatif.retracing.BATCH", 2)
    calls = [keep("busy", number) for number in range(5)]
    CallTrace.objects.update(started_at=STARTED)

    assert sorted(found.call_id for found in retrace_all()) == sorted(calls)
