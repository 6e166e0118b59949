"""Why a call goes where it goes: the steps, and that asking for them changes nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from calls.routing.choice import AccountRow, BlockRow, CallFacts, RouteRow, TargetRow, choose
from calls.routing.numbers import NumberingPlan
from calls.routing.rows import CallerIdPolicy, Side
from calls.routing.steps import Mark, Topic
from tests.examples import examples
from tests.routing.configured import account, ask, at, blocked, route, trunk

DIGITS = st.text("0149", max_size=4)
MOMENTS = st.integers(at("2026-11-20"), at("2026-11-30"))
NUMBERS = st.one_of(DIGITS, DIGITS.map("+".__add__), st.text("01*#A@&\n", max_size=6))
KEYS = st.sampled_from(["acme", "alice", "other"])

targets = st.builds(
    TargetRow,
    trunk=st.sampled_from("abc"),
    dial_string=st.just("PJSIP/{number}@x"),
    enabled=st.booleans(),
    ring_timeout_s=st.just(60),
    strip_digits=st.integers(0, 5),
    add_prefix=st.sampled_from(["", "+", "00"]),
    caller_id=DIGITS,
    priority=st.integers(1, 3),
    weight=st.integers(0, 100),
    caller_id_policy=st.sampled_from(CallerIdPolicy),
    rewrite_match=st.sampled_from(["", "^0(.*)", "(", ".*"]),
    rewrite_replace=st.sampled_from(["", r"\1", "9"]),
    route_strip_digits=st.integers(0, 3),
    route_add_prefix=DIGITS,
)
routes = st.builds(
    RouteRow,
    route_id=st.integers(1, 9),
    prefix=DIGITS,
    own=st.booleans(),
    block=st.booleans(),
    targets=st.lists(targets, max_size=3).map(tuple),
    enabled=st.booleans(),
    valid_from_ms=st.none() | MOMENTS,
    valid_until_ms=st.none() | MOMENTS,
    schedule=st.sampled_from(["", "mon-fri 08:00-18:00", "daily 22:00-06:00", "broken"]),
)
blocks = st.builds(
    BlockRow,
    block_id=st.integers(1, 9),
    side=st.sampled_from(Side),
    prefix=DIGITS,
    own=st.booleans(),
    enabled=st.booleans(),
    note=st.just("note"),
)
accounts = st.builds(
    AccountRow,
    code=KEYS,
    enabled=st.booleans(),
    max_call_s=st.none() | st.integers(1, 10),
    routes=st.lists(routes, max_size=6).map(tuple),
    numbering=st.builds(NumberingPlan, DIGITS, DIGITS, DIGITS),
    time_zone=st.sampled_from(["UTC", "Europe/Paris", "Mars/Base"]),
    caller_id=DIGITS,
    blocks=st.lists(blocks, max_size=2).map(tuple),
)
calls = st.builds(
    CallFacts,
    call_id=st.text("ab:1", max_size=5),
    dialled=NUMBERS,
    caller_number=NUMBERS,
    account_keys=st.lists(KEYS, max_size=2, unique=True).map(tuple),
    at_ms=MOMENTS,
)


@settings(max_examples=examples(600))
@given(calls, st.lists(accounts, max_size=2).map(tuple))
def test_an_explained_decision_is_the_decision(facts, rows):
    plain = choose(facts, rows, 7200)
    explained = choose(facts, rows, 7200, explain=True)

    assert plain == explained
    assert plain.steps == ()
    assert explained.steps != ()


def steps(found, topic):
    return [(step.subject, step.mark, step.detail) for step in found.steps if step.topic == topic]


def test_every_prefix_is_named_down_to_the_one_that_holds():
    found = ask(
        account(
            route("4930", "a", enabled=False),
            route("493", "a", own=True, valid_from_ms=at("2026-12-01")),
            route("493", "a", valid_until_ms=at("2026-11-01")),
            route("49", "a", schedule="sat-sun"),
            route("4", "b"),
            route("", "c"),
        ),
        explain=True,
    )

    over = Mark.PASSED_OVER
    assert steps(found, Topic.PREFIX) == [
        ("49301", over, "no route"),
        ("4930", over, "route 4930 (all) is disabled"),
        ("493", over, "route 493 (acme) is not valid before 2026-12-01 00:00:00 UTC"),
        ("493", over, "route 493 (all) was valid until 2026-11-01 00:00:00 UTC"),
        ("49", over, "route 49 (all) is outside its schedule sat-sun (Mon 12:00 in UTC)"),
        ("4", Mark.FOUND, "route 4 (all) is the route"),
    ]


def test_each_target_says_its_draw_and_what_it_would_be_sent():
    found = ask(
        account(
            route(
                "49",
                trunk("a", enabled=False),
                trunk("b", priority=2, strip_digits=15),
                trunk("c", priority=3, weight=70, add_prefix="+"),
                trunk("d", priority=4, caller_id_policy="anonymous"),
            )
        ),
        explain=True,
    )

    details = steps(found, Topic.TARGET)
    assert [(name, mark) for name, mark, _ in details] == [
        ("a", Mark.PASSED_OVER),
        ("b", Mark.PASSED_OVER),
        ("c", Mark.FOUND),
        ("d", Mark.FOUND),
    ]
    assert details[0][2].startswith("is disabled (priority 1, weight 100, drew 0.")
    assert details[1][2].startswith("cannot be sent this number")
    assert details[2][2].startswith("priority 3, weight 70, drew 0.")
    assert details[2][2].endswith("dials PJSIP/+49301@c with caller 442079")
    assert details[3][2].endswith("with no caller's number")


def test_a_block_is_named_with_the_entries_that_did_not_block():
    found = ask(
        account(blocks=(blocked("49", note="old", enabled=False), blocked("4", note="new"))),
        explain=True,
    )

    assert steps(found, Topic.BLOCKLIST) == [
        ("callee 49 (all): old", Mark.PASSED_OVER, "is disabled"),
        ("callee 4 (all): new", Mark.REFUSED, "blocks this call"),
    ]
    assert steps(found, Topic.PREFIX) == []


def test_numbers_are_shown_with_the_form_they_came_in():
    plan = NumberingPlan("33", "00", "0")
    found = ask(account(numbering=plan), dialled="0123", caller="Eve\n<x>", explain=True)

    assert steps(found, Topic.CALLEE) == [
        ("33123", Mark.FOUND, "'0123': national, with the account's national prefix")
    ]
    assert steps(found, Topic.CALLER) == [
        ("'Eve\\n<x>'", Mark.PASSED_OVER, "is no telephone number")
    ]


def test_an_unknown_account_ends_the_explanation():
    found = ask(explain=True)

    assert [(step.topic, step.mark) for step in found.steps] == [
        (Topic.ACCOUNT, Mark.PASSED_OVER),
        (Topic.ACCOUNT, Mark.REFUSED),
    ]
