"""Whatever is lost, doubled or swapped, and wherever a worker dies, a call ends and leaves nothing.

Hypothesis plays the far ends, the network and the grim reaper against the pure world.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from calls import machine
from calls.commands import CreateBridge, CreateChannel, Dial, Release, Reserve
from calls.events import Doubted, HangupAsked
from calls.session import Phase
from cdr.record import CallRecord
from tests.machine.world import A, World, b, entered, plan, rule, target

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
        case "caller hangs up":
            world.end(A, 127)
        case "caller vanishes":
            world.end(A, silently=True)
        case "admin":
            world.told.append(HangupAsked(world.now_ms, "root"))
        case "doubt":
            world.told.append(Doubted(world.now_ms))


def deliver(world: World, how: list[str]) -> None:
    """Bring what Asterisk told to the machine, with the losses and the disorder of real life."""
    told, world.told = world.told, []
    late = []
    for index, event in enumerate(told):
        match how[index % len(how)]:
            case "lost":
                continue
            case "doubled":
                world.hear(event)
                world.hear(event)
            case "late":
                late.append(event)
            case "swapped":
                late.insert(0, event)
            case _:
                world.hear(event)
    for event in late:
        world.hear(event)


@settings(max_examples=1000, deadline=None)
@given(
    story=st.lists(FAR_END, max_size=8),
    delivery=st.lists(DELIVERY, min_size=1, max_size=12),
    deaths=st.lists(st.booleans(), min_size=1, max_size=8),
    targets=st.integers(1, 2),
    broken=st.sampled_from([(), (CreateChannel,), (CreateBridge,), (Dial,), (Reserve,)]),
    rules=st.sampled_from([None, (rule(),), (rule(enforce=False),)]),
)
def test_a_call_ends_clean_and_dials_nobody_twice(story, delivery, deaths, targets, broken, rules):
    world = World(found=plan(*(target(f"carrier-{n}") for n in range(targets))), rules=rules)
    world.broken = dict.fromkeys(broken, "500 Allocation failed")
    world.hear(entered())
    world.save()
    for turn, (what, attempt) in enumerate(story):
        act(world, what, attempt)
        deliver(world, delivery[turn % len(delivery) :] + delivery)
        if deaths[turn % len(deaths)]:
            world.die_and_come_back()
        else:
            world.save()
    world.broken = {}
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
    assert machine.decide(world.session, entered()) == world.session


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
