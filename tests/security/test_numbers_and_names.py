"""What a caller can write into a call: the dialled number, its own number, its name."""

import pytest
from msgspec.structs import replace

from calls.machine.beginning import begin
from calls.machine.events import CallEntered, decode, encode
from calls.machine.record import call_record
from calls.machine.session import Phase, from_json, to_json
from calls.routing.choice import Plan
from calls.routing.numbers import NumberingPlan, is_e164, is_short
from calls.text import printable
from cdr.cells import guarded
from cdr.mapping import cdr_row
from cdr.record import CallRecord, Disposition, EndedBy
from tests.machine.world import CALL
from tests.routing.configured import account, ask, blocked, gist, route
from tests.security.inputs import hostile

GERMANY = NumberingPlan("49", "00", "0", ("112", "110"))
NO_NUMBER = ("invalid_number", 28)


@pytest.mark.parametrize("dialled", hostile("dialled_numbers"))
def test_no_such_number_is_dialled(dialled):
    found = ask(account(route("", "a"), numbering=GERMANY), dialled=dialled)

    if isinstance(found, Plan):
        # An emergency number with prefixes in front is one still, and nothing else gets through.
        assert is_short(found.callee, GERMANY)
        assert gist(found) == [f"PJSIP/{found.callee}@a"]
    else:
        assert gist(found) == NO_NUMBER
        assert found.callee == ""
        assert found.reason.isprintable()
        assert len(found.reason) < 400


@pytest.mark.parametrize("caller", hostile("caller_numbers"))
def test_no_such_number_is_shown_or_gets_past_the_blocklist(caller):
    shown = ask(account(route("", "a"), numbering=GERMANY), caller=caller)
    nobody = blocked("", "none")
    barred = ask(account(route("", "a"), numbering=GERMANY, blocks=(nobody,)), caller=caller)

    assert (shown.caller, shown.targets[0].caller) == ("", "")
    assert gist(barred) == ("blocked", 21)


@pytest.mark.parametrize("name", hostile("caller_names"))
def test_a_name_is_kept_shown_and_exported_without_doing_anything(name):
    event = CallEntered("1.1", 1, "PJSIP/alice-01", "49301", "4930", name[:256], "acme")
    assert decode(encode(event)) == event
    session = begin(CALL, event)
    assert from_json(to_json(session)) == session

    record = call_record(session_that_is_over(session))
    assert CallRecord.from_json(record.to_json()) == record
    row = cdr_row(record)
    assert len(row.caller_name) <= 128
    assert "\x00" not in row.caller_name
    assert printable(name).isprintable() or printable(name) == ""
    assert not guarded(name).startswith(("=", "+", "-", "@", "\t", "\r"))


def session_that_is_over(session):
    """As the record needs it."""
    return replace(
        session,
        phase=Phase.OVER,
        ended_ms=2,
        disposition=Disposition.CANCELLED,
        ended_by=EndedBy.CALLER,
    )


def test_the_inputs_are_no_numbers_of_anybody():
    assert not any(is_e164(caller) for caller in hostile("caller_numbers"))
