"""Whatever is lost, doubled or swapped, and wherever a worker dies, a call ends and leaves nothing.

Hypothesis plays the far ends, the network and the grim reaper against the pure world.
"""

from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from calls.machine import table
from calls.machine.commands import (
    CreateBridge,
    CreateChannel,
    Dial,
    Originate,
    Play,
    Release,
    Reserve,
)
from calls.machine.events import CallOrdered, Doubted, HangupAsked, MailboxEvent
from calls.machine.session import Phase
from cdr.record import CallRecord
from tests.examples import examples
from tests.machine.world import A, Died, World, b, entered, ordered, plan, rule, target

FAR_END = st.sampled_from(
    [
        ("ring", 1),
        ("progress", 1),
        ("answer", 1),
        ("busy", 1),
        ("congested", 1),
        ("bye", 1),
        ("vanish", 1),
        ("ring", 2),
        ("answer", 2),
        ("congested", 2),
        ("phone rings", 0),
        ("phone answers", 0),
        ("phone is busy", 0),
        ("caller hangs up", 0),
        ("caller vanishes", 0),
        ("admin", 0),
        ("doubt", 0),
    ]
)
DELIVERY = st.sampled_from(["in order", "lost", "doubled", "late", "swapped"])


def act(world: World, what: str, attempt: int) -> None:
    channel = b(attempt)
    match what:
        case "ring":
            world.ring(channel)
        case "progress":
            world.progress(channel)
        case "answer":
            world.answer(channel)
        case "busy":
            world.end(channel, 17, 486)
        case "congested":
            world.end(channel, 34, 503)
        case "bye":
            world.end(channel)
        case "vanish":
            world.end(channel, silently=True)
        case "phone rings":
            world.ring(A)
        case "phone answers":
            world.pick_up()
        case "phone is busy":
            if A in world.unanswered:
                world.end(A, 17, 486)
        case "caller hangs up":
            world.end(A, 127)
        case "caller vanishes":
            world.end(A, silently=True)
        case "admin":
            world.told.append(HangupAsked(world.now_ms, "root"))
        case "doubt":
            world.told.append(Doubted(world.now_ms))


def hear(world: World, event: MailboxEvent) -> None:
    with suppress(Died):
        return world.hear(event)
    come_back(world)


def come_back(world: World) -> None:
    """Another worker takes the call up, and another when that one dies, too."""
    while True:
        with suppress(Died):
            return world.die_and_come_back()


def deliver(world: World, how: list[str]) -> None:
    """Bring what Asterisk told to the machine, with the losses and the disorder of real life."""
    told, world.told = world.told, []
    late = []
    for index, event in enumerate(told):
        match how[index % len(how)]:
            case "lost":
                continue
            case "doubled":
                hear(world, event)
                hear(world, event)
            case "late":
                late.append(event)
            case "swapped":
                late.insert(0, event)
            case _:
                hear(world, event)
    for event in late:
        hear(world, event)


@settings(max_examples=examples(1000), deadline=None)
@given(
    story=st.lists(FAR_END, max_size=8),
    delivery=st.lists(DELIVERY, min_size=1, max_size=12),
    deaths=st.lists(st.booleans(), min_size=1, max_size=8),
    targets=st.integers(1, 2),
    broken=st.sampled_from(
        [(), (CreateChannel,), (CreateBridge,), (Dial,), (Reserve,), (Originate,), (Play,)]
    ),
    rules=st.sampled_from([None, (rule(),), (rule(enforce=False),)]),
    lives=st.lists(st.integers(1, 9), max_size=4),
    begins=st.sampled_from([entered(), ordered(), ordered(phone="", trunk="carrier-0")]),
)
@example(
    # B's answer was found by a look. The worker gave the places back with that talk, and died; the
    # next one had B's end in the mailbox, never looked, and wrote a record without talk.
    story=[("ring", 1), ("answer", 1), ("doubt", 0), ("busy", 1)],
    delivery=["in order", "lost"],
    deaths=[True],
    targets=1,
    broken=(),
    rules=(rule(),),
    lives=[],
    begins=entered(),
)
def test_a_call_ends_clean_and_dials_nobody_twice(
    story, delivery, deaths, targets, broken, rules, lives, begins
):
    world = World(found=plan(*(target(f"carrier-{n}") for n in range(targets))), rules=rules)
    world.broken = dict.fromkeys(broken, "500 Allocation failed")
    if isinstance(begins, CallOrdered):
        world.channels.clear()
    world.hear(begins)
    world.save()
    world.lives = list(lives)
    for turn, (what, attempt) in enumerate(story):
        act(world, what, attempt)
        deliver(world, delivery[turn % len(delivery) :] + delivery)
        if deaths[turn % len(deaths)]:
            come_back(world)
        else:
            world.save()
    world.broken, world.lives = {}, []
    settle(world)

    assert world.session.phase is Phase.OVER
    assert world.empty, (world.channels, world.bridges)
    assert len(world.dialled) == len(set(world.dialled))
    record = world.record
    talks = {each.talk_ms for each in world.done if isinstance(each, Release)}
    assert talks <= {record.talk_ms}
    assert talks or not world.session.rules
    assert CallRecord.from_json(record.to_json()) == record
    assert (record.disposition == "answered") == (record.answered_ms is not None)
    assert table.decide(world.session, begins) == world.session


def settle(world: World) -> None:
    """Everybody hangs up in the end; every event about it is lost; reconciliation finds it."""
    for attempt in (1, 2):
        world.end(b(attempt))
    world.end(A)
    world.told.clear()
    for _ in range(12):
        if world.session.phase is Phase.OVER:
            return
        world.doubt()
        world.told.clear()
