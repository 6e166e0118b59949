"""Past calls through an old and a new configuration: what would go elsewhere, or be refused. Pure.

Both sides are decided by :func:`calls.routing.choose`, as a live call is. The draw among trunks of
the same priority is made from the call's id, so it falls as it did when the call was live.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice, zip_longest

from calls.routing.choice import CallFacts, Plan, Refusal, Target

EXAMPLES = 50
"""Calls shown one by one, at most; taken from all groups in turn."""

Decision = Plan | Refusal


class Effect(StrEnum):
    """What a change does to a call, the gravest first."""

    REFUSED = "refused"
    ROUTED = "routed"
    MOVED = "moved"
    SENT = "sent"
    FALLBACK = "fallback"
    REASON = "reason"


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call as its record has it; ``started_ms`` and ``ended_ms`` since the Unix epoch."""

    record_id: int
    call_id: str
    started_ms: int
    account: str
    dialled: str
    caller_number: str
    ended_ms: int = 0
    talk_ms: int = 0

    @property
    def question(self) -> tuple[str, str, str]:
        """What the directory is asked: the same for many calls."""
        return self.account, self.dialled, self.caller_number

    @property
    def facts(self) -> CallFacts:
        """What was known when it asked for a route. A caller without an account is one still:
        its record does not say which codes were looked up."""
        keys = (self.account,) if self.account else ()
        return CallFacts(self.call_id, self.dialled, self.caller_number, keys, self.started_ms)


@dataclass(frozen=True, slots=True)
class Example:
    """One call that would go another way, and both ways in words."""

    call: PastCall
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Group:
    """Calls that would change in the same way: how many, and some of them."""

    effect: Effect
    before: str
    after: str
    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a change would do to past calls. Times are milliseconds since the Unix epoch."""

    calls: int
    first_ms: int | None
    last_ms: int | None
    groups: tuple[Group, ...]

    @property
    def changed(self) -> int:
        return sum(group.count for group in self.groups)

    @property
    def unchanged(self) -> int:
        return self.calls - self.changed

    def count(self, effect: Effect) -> int:
        """Calls with this effect."""
        return sum(group.count for group in self.groups if group.effect is effect)


def compare(
    calls: Sequence[PastCall], before: Iterable[Decision], after: Iterable[Decision]
) -> Report:
    """Tell what becomes of the calls, whose decisions come in the same order."""
    found: defaultdict[tuple[Effect, str, str], list[Example]] = defaultdict(list)
    for call, old, new in zip(calls, before, after, strict=True):
        difference = _difference(old, new)
        if difference is not None:
            effect = difference[0]
            example = Example(call, _in_words(old, effect), _in_words(new, effect))
            found[difference].append(example)
    order = list(Effect)
    keys = sorted(found, key=lambda key: (order.index(key[0]), -len(found[key]), key))
    shown = _shares([len(found[key]) for key in keys], EXAMPLES)
    times = [call.started_ms for call in calls]
    return Report(
        len(calls),
        min(times, default=None),
        max(times, default=None),
        tuple(
            Group(*key, len(found[key]), tuple(found[key][:share]))
            for key, share in zip(keys, shown, strict=True)
        ),
    )


def _difference(old: Decision, new: Decision) -> tuple[Effect, str, str] | None:
    if isinstance(old, Refusal) and isinstance(new, Refusal):
        if (old.disposition, old.cause) == (new.disposition, new.cause):
            return None
        return Effect.REASON, _verdict(old), _verdict(new)
    if isinstance(new, Refusal):
        return Effect.REFUSED, _usable(old)[0].trunk, _verdict(new)
    if isinstance(old, Refusal):
        return Effect.ROUTED, _verdict(old), _usable(new)[0].trunk
    was, will = _usable(old), _usable(new)
    if was[0].trunk != will[0].trunk:
        return Effect.MOVED, was[0].trunk, will[0].trunk
    if (was[0], old.max_call_s) != (will[0], new.max_call_s):
        return Effect.SENT, was[0].trunk, _what_differs(old, new)
    if was != will:
        return Effect.FALLBACK, _names(was), _names(will)
    return None


def _usable(decision: Decision) -> list[Target]:
    return [target for target in decision.targets if not target.skipped]


def _verdict(refusal: Refusal) -> str:
    return f"{refusal.disposition.value.replace('_', ' ')} (cause {refusal.cause})"


def _names(targets: Iterable[Target]) -> str:
    return ", then ".join(target.trunk for target in targets)


def _what_differs(old: Plan, new: Plan) -> str:
    was, will = _usable(old)[0], _usable(new)[0]
    pairs = {
        "dial string or number": (was.endpoint, will.endpoint),
        "caller's number": (was.caller, will.caller),
        "ring timeout": (was.ring_timeout_s, will.ring_timeout_s),
        "longest call": (old.max_call_s, new.max_call_s),
    }
    differing = [what for what, (one, other) in pairs.items() if one != other]
    return f"another {' and '.join(differing)}" if differing else "sent in another form"


def _in_words(decision: Decision, effect: Effect) -> str:
    if isinstance(decision, Refusal):
        return decision.reason
    usable = _usable(decision)
    first = usable[0]
    if effect is Effect.SENT:
        caller = f", caller {first.caller}" if first.caller else ""
        return (
            f"{first.endpoint}{caller}, rings up to {first.ring_timeout_s} s, "
            f"talks up to {decision.max_call_s} s"
        )
    more = f", then {_names(usable[1:])}" if usable[1:] else ""
    return f"{first.endpoint}{more}; route {decision.route}"


def _shares(sizes: list[int], most: int) -> list[int]:
    """How many of each group are shown, so that every group has some before one has many."""
    turns = zip_longest(*([index] * size for index, size in enumerate(sizes)))
    taken = islice((index for index in chain.from_iterable(turns) if index is not None), most)
    shares = [0] * len(sizes)
    for index in taken:
        shares[index] += 1
    return shares
