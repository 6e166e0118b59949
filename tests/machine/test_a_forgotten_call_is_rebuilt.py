"""A call of which Redis knows nothing is begun again from what Asterisk holds of it."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from calls.limits.rules import Metric
from calls.machine import digest, table
from calls.machine.commands import CreateBridge, CreateChannel, Dial, FindRoute, Release, Reserve
from calls.machine.events import CallFound, Doubted, decode, encode
from calls.machine.session import Phase
from cdr.record import Disposition, EndedBy, Integrity, Outcome
from tests.machine.world import (
    A,
    World,
    b,
    dialling,
    entered,
    plan,
    ringing,
    rule,
    setting_up,
    talking,
    target,
)


def complete(world):
    """The world's record without what a recovered one may not know."""
    return replace(world.record, integrity=Integrity.COMPLETE)


# --- Both sides are up ---


def test_who_talks_goes_on_talking_and_has_the_same_record_as_without_the_loss():
    worlds = [talking(), talking()]
    forgotten, remembered = worlds
    (leg,) = forgotten.session.legs
    forgotten.forget(answered_ms=leg.answered_ms)
    assert forgotten.session.phase is Phase.TALKING
    remembered.now_ms = forgotten.now_ms
    for world in worlds:
        world.end(A)
        world.hear_all()

    assert forgotten.record.integrity == Integrity.RECOVERED
    before, after = remembered.record, complete(forgotten)
    # When it rang is the only thing that nobody knows any more.
    (attempt,) = before.attempts
    forgettable = {"ringing_ms": None, "attempts": (replace(attempt, ringing_ms=None),)}
    assert after == replace(before, **forgettable)
    assert forgotten.empty


def test_of_who_answered_when_nobody_remembers_the_talk_is_counted_from_the_finding():
    world = talking()
    world.now_ms += 60_000
    world.forget()
    found_ms = world.session.answered_ms
    world.now_ms += 5_000
    world.end(b())
    world.hear_all()

    assert world.record.talk_ms == world.record.ended_ms - found_ms
    assert (world.record.disposition, world.record.ended_by) == ("answered", "callee")


def test_its_hard_limit_is_kept():
    world = talking(found=plan(max_call_s=60))
    world.forget(answered_ms=world.session.answered_ms)
    world.doubt()
    world.hear_all()

    assert world.record.ended_by == EndedBy.LIMIT
    assert world.record.talk_ms == 60_000


def test_its_limits_are_known_again_and_its_places_given_back_at_the_end():
    rules = (rule(), rule("minutes", window="day:2026-11-25", value=100))
    world = talking(rules=rules)
    world.forget()
    assert world.session.rules == rules
    world.end(A)
    world.hear_all()

    assert world.count(Release) == 1


def test_one_without_a_digest_goes_on_too():
    world = talking()
    found = replace(world.as_found(), digest="")
    world.session = None
    world.hear(found)
    assert world.session.phase is Phase.TALKING
    world.end(A)
    world.hear_all()

    assert (world.record.account, world.record.callee_received) == ("acme", "33123")
    assert world.empty


def test_in_a_second_attempt_the_first_is_remembered():
    world = dialling(found=plan(target(), target("carrier-b")))
    world.end(b(1), 34, 503)
    world.hear_all()
    world.answer(b(2))
    world.hear_all()
    world.forget()
    world.end(A)
    world.hear_all()

    assert [each.trunk for each in world.record.attempts] == ["carrier-a", "carrier-b"]
    assert [each.sip_code for each in world.record.attempts] == [503, 200]
    assert world.record.trunk == "carrier-b"


# --- A is not up ---


@pytest.mark.parametrize("so_far", [dialling, ringing, setting_up])
def test_a_caller_who_waits_is_routed_anew_by_another_channel(so_far):
    world = so_far()
    if so_far is setting_up:
        world.do(CreateChannel, CreateBridge)
    world.done.append(FindRoute())
    world.forget()

    assert world.dialled[-1] == b(2)
    assert b(1) not in world.channels
    assert world.session.phase is Phase.DIALLING
    world.answer(b(2))
    world.end(A)
    world.hear_all()
    assert world.record.disposition == Disposition.ANSWERED
    assert [each.outcome for each in world.record.attempts] == [Outcome.FAILED, Outcome.DIALLED]
    assert world.empty


def test_a_caller_of_whom_nothing_had_been_begun_is_routed():
    world = World()
    world.forget()

    assert world.dialled == [b(1)]
    assert world.session.recovered


def test_a_caller_whom_the_dialplan_had_answered_is_routed():
    world = World(channels={A: "Up"})
    world.forget()

    assert world.dialled == [b(1)]


def test_a_caller_whom_the_dialplan_had_answered_and_whose_callee_rings_is_routed_anew():
    world = ringing()
    world.channels[A] = "Up"
    world.forget()

    assert world.dialled[-1] == b(2)


# --- One side has gone meanwhile ---


def test_whose_caller_has_gone_is_ended_with_a_record():
    world = talking()
    answered_ms = world.session.answered_ms
    world.end(A)
    world.forget(answered_ms)

    assert world.empty
    assert (world.record.disposition, world.record.ended_by) == ("answered", "unknown")
    assert world.record.account == "acme"
    assert world.record.talk_ms > 0


def test_whose_callee_has_gone_is_ended_and_nobody_is_called_again():
    world = talking()
    world.end(b())
    dials = world.count(Dial)
    world.forget(world.session.answered_ms)

    assert world.empty
    assert world.count(Dial) == dials
    assert (world.record.disposition, world.record.trunk) == ("answered", "carrier-a")


def test_whose_caller_left_before_the_answer_is_cancelled():
    world = ringing()
    world.end(A)
    world.forget()

    assert world.empty
    assert world.record.disposition == Disposition.CANCELLED


def test_of_which_only_the_bridge_is_left_has_a_record():
    world = talking()
    answered_ms = world.session.answered_ms
    world.end(b())
    world.end(A)
    world.forget(answered_ms)

    assert world.empty
    assert (world.record.disposition, world.record.account) == ("answered", "acme")


# --- The event ---


def test_a_call_that_is_known_takes_no_notice_of_being_found():
    world = talking()
    before = world.session

    assert table.decide(before, world.as_found()) == before


def test_it_lies_in_a_mailbox_as_any_other():
    found = talking().as_found(answered_ms=5)

    assert found.legs == ((1, "Up"),)
    assert decode(encode(found)) == found


# --- The digest ---

TEXTS = st.text(max_size=300)


@given(TEXTS, TEXTS, TEXTS)
def test_whatever_stands_in_numbers_and_names_a_digest_comes_back_as_it_was(dialled, number, name):
    world = setting_up(rules=(rule(), rule("cps", trunk="carrier-a")))
    world.do(Reserve)
    session = structs.replace(
        world.session, dialled=dialled[:60], caller_number=number[:60], caller_name=name[:60]
    )
    known = digest.decode(digest.encode(session), A)

    for field in digest.Digest.__slots__:
        if field != "legs":
            assert getattr(known, field) == getattr(session, field)
    assert [leg.trunk for leg in known.legs] == ["carrier-a"]


@given(TEXTS, TEXTS, TEXTS)
@example("\0" * 300, "\0" * 300, "\0" * 300)
def test_a_digest_is_never_longer_than_asterisk_was_seen_to_keep(dialled, number, name):
    session = structs.replace(
        setting_up().session, dialled=dialled, caller_number=number, caller_name=name
    )

    assert len(digest.encode(session).encode()) <= digest.LONGEST


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=15),
    max_leaves=20,
)


@given(st.text() | JSON.map(lambda value: str(value).replace("'", '"')))
@example("[1]")
@example("[]")
@example('[2,1,"","","",[],"","","","","","",1,"",null,[],["",""]]')
@example('[2,1,"","","",[],"","","","","","",1,"",null,[],5]')
@example('[2,1,"","","",[],"","","","","","",1,"",null,[]]')
@example('[1,1,"","","",[],"","","","","","",1,"",[["x"]],[]]')
@example('[1,1,"","","",[],"","","","","","","60","",null,[]]')
@example('[1,1,"","","",[],"","","","","","",1,"",null,[["t"]]]')
@example("[" * 100_000)
def test_what_is_no_digest_is_none(text):
    assert digest.decode(text, A) is None


def test_a_call_is_rebuilt_from_whatever_its_digest_says():
    for text in ("", "no json", '[2, "of a newer version"]'):
        found = CallFound(
            A, 5, True, False, 1, "PJSIP/a-1", "33", "1", "x", "acme", ((1, "Up"),), True, text
        )
        session = table.fold("demo:" + A, None, [found, Doubted(6)])
        assert session.account_keys == ("acme",)


def test_the_digest_of_a_call_that_nobody_ordered_is_read_by_versions_that_know_no_orders():
    assert digest.encode(setting_up().session).startswith("[1,")


def test_metrics_come_back_as_metrics():
    world = setting_up(rules=(rule("cps"),))
    known = digest.decode(digest.encode(world.session), A)

    assert known.rules[0].metric is Metric.CPS


def test_nothing_is_rebuilt_of_a_call_that_lives():
    world = dialling()
    world.hear(entered())
    world.hear(world.as_found())

    assert world.dialled == [b(1)]
