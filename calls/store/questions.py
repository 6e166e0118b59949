"""What the scripts of the limits are asked: the keys, and the argument as JSON.

The keys are documented at the head of calls/store/counters.py.
"""

from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from calls.limits import health, slices
from calls.limits.rules import Metric, Rule, Window
from calls.machine.session import Session
from calls.routing.targets import Target
from calls.store import outbox

BRIEF_MS = 60_000
"""How long a call that holds nothing is remembered, so that a repeated question counts once."""
COUNTED_MS = 3_600_000
"""How long the end of a call with minutes is remembered, so that they are counted once even when
every process was away for most of an hour in the middle of it."""
KEEP_SLACK_S = 600
"""What a call holds is known for its longest possible life and so much more."""
WINDOW_KEPT_MS = {Window.DAY: 2 * 86_400_000, Window.MONTH: 62 * 86_400_000}

REFUSED = "ringmaster:limit:refused"
WOULD = "ringmaster:limit:would"
STATES = "ringmaster:trunk:states"

LUA = Path(__file__).parent / "lua"


def script(redis: Redis, *names: str) -> AsyncScript:
    """The script of that name; what it shares with others comes before it."""
    return redis.register_script("\n".join((LUA / f"{name}.lua").read_text() for name in names))


def counter_key(rule: Rule) -> str:
    """The key of the rule's counter."""
    window = f"{rule.window}:" if rule.window else ""
    return f"ringmaster:limit:{rule.metric}:{window}{rule.subject}"


def call_key(call: str) -> str:
    """The key of what a call holds."""
    return f"ringmaster:limit:call:{call}"


def kept_key(cell: str) -> str:
    """The key that is there while it is known which of a cell's calls hold places."""
    return f"ringmaster:limit:kept:{cell}"


def keeper_key(cell: str) -> str:
    """The key that names the worker that renews a cell's places."""
    return f"ringmaster:limit:keeper:{cell}"


def trial_key(trunk: str) -> str:
    """The key that is there while a trunk that is down gets no trial call."""
    return f"ringmaster:trunk:trial:{trunk}"


def window_key(trunk: str) -> str:
    """The key of a trunk's attempts in the last minute."""
    return f"ringmaster:trunk:window:{trunk}"


class Question:
    """The keys and the argument of one script call; a rule's key is noted as it is named."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.argument = b""

    def ask(self, **asked: Any) -> "Question":
        """With this argument."""
        self.argument = orjson.dumps(asked)
        return self

    def key(self, key: str) -> int:
        """Its index in KEYS."""
        self.keys.append(key)
        return len(self.keys)

    def rules(self, rules: Iterable[Rule]) -> list[dict[str, Any]]:
        """The rules as the scripts have them."""
        return [self._rule(rule) for rule in rules]

    def _rule(self, rule: Rule) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "k": self.key(counter_key(rule)),
            "m": rule.metric,
            "v": rule.value,
            "e": rule.enforce,
            "s": rule.stat,
            "n": rule.name,
        }
        if rule.metric is Metric.MINUTES:
            plain["warn"] = rule.value * 60_000 * rule.warn_percent // 100
            plain["keep"] = WINDOW_KEPT_MS[Window(rule.window.partition(":")[0])]
            if "limit.warned" in outbox.wanted.events:
                plain |= {"x": self.key(outbox.OUTBOX), "most": outbox.MOST}
        return plain


def reserving(
    session: Session,
    attempt: int,
    targets: Sequence[Target],
    up_by_hand: Container[str],
    kept: str,
    lease_ms: int,
) -> Question:
    """Of reserve.lua. ``kept`` is the key without which nothing strict is let in; '' = none is."""
    rules = session.rules or ()
    question = Question(call_key(session.call_id), REFUSED, WOULD, STATES, kept)
    held = (Metric.CONCURRENT, Metric.MINUTES)
    return question.ask(
        call=session.call_id,
        attempt=attempt,
        first=session.first_attempt,
        strict=bool(kept) and any(rule.enforce and rule.metric in held for rule in rules),
        lease=lease_ms,
        keep=keep_ms(session),
        brief=BRIEF_MS,
        trial=health.TRIAL_MS,
        **_slice(session.max_call_s * 1000),
        rules=question.rules(rule for rule in rules if not rule.trunk),
        targets=[
            {
                "name": target.trunk,
                "mark": question.key(trial_key(target.trunk)),
                "well": target.trunk in up_by_hand,
                "rules": question.rules(rule for rule in rules if rule.trunk == target.trunk),
            }
            for target in targets
        ],
    )


def extending(session: Session, have_s: int) -> Question:
    """Of extend.lua."""
    question = Question(call_key(session.call_id))
    return question.ask(
        call=session.call_id,
        have=have_s * 1000,
        keep=keep_ms(session),
        **_slice((session.max_call_s - have_s) * 1000),
        rules=question.rules(spent_rules(session)),
    )


def releasing(call: str, rules: tuple[Rule, ...], talk_ms: int) -> Question:
    """Of release.lua."""
    question = Question(call_key(call), WOULD)
    minutes = [rule for rule in rules if rule.metric is Metric.MINUTES]
    longest = [rule for rule in rules if rule.metric is Metric.MAX_DURATION]
    return question.ask(
        call=call,
        talk=talk_ms,
        places=[
            question.key(counter_key(rule)) for rule in rules if rule.metric is Metric.CONCURRENT
        ],
        minutes=question.rules(minutes),
        longer=[rule.stat for rule in longest if talk_ms > rule.value * 1000],
        keep=COUNTED_MS if minutes else BRIEF_MS,
    )


def retaking(session: Session, lease_ms: int) -> Question:
    """Of retake.lua: what a live call holds by its session, in its present attempt."""
    trunk = session.leg.trunk if session.leg is not None else ""
    question = Question(call_key(session.call_id))
    places = [rule for rule in session.rules or () if rule.metric is Metric.CONCURRENT]
    granted_s = session.max_call_s if session.granted_s is None else session.granted_s
    return question.ask(
        call=session.call_id,
        attempt=len(session.legs),
        lease=lease_ms,
        keep=keep_ms(session),
        reply=orjson.dumps({"trunk": trunk, "skipped": []}).decode(),
        places=[question.key(counter_key(rule)) for rule in places if not rule.trunk],
        trunk_places=[question.key(counter_key(rule)) for rule in places if rule.trunk == trunk],
        granted=granted_s * 1000,
        minutes=question.rules(spent_rules(session)),
    )


def spent_rules(session: Session) -> list[Rule]:
    """The limits whose minutes the call spends in slices."""
    rules = session.rules or ()
    return [rule for rule in rules if rule.metric is Metric.MINUTES and rule.enforce]


def keep_ms(session: Session) -> int:
    """How long what this call holds is known."""
    ringing_s = sum(target.ring_timeout_s for target in session.targets)
    return (session.max_call_s + ringing_s + KEEP_SLACK_S) * 1000


def _slice(longest_ms: int) -> dict[str, int]:
    return {
        "most": slices.MOST_MS,
        "least": slices.LEAST_MS,
        "share": slices.SHARE,
        "longest": max(0, longest_ms),
    }
