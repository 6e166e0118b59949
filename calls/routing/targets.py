"""A route's trunks as attempts: in which order, with which number, shown whose number. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from calls.routing import endpoints
from calls.routing.barriers import Barriers
from calls.routing.numbers import (
    DIALLABLE,
    Form,
    NumberingPlan,
    is_own_short,
    reached,
    recognise,
)
from calls.routing.policy import Policy
from calls.routing.rewrites import RewriteError, rewrite
from calls.routing.rows import AccountRow, CallerIdPolicy, TargetRow
from calls.routing.steps import Mark, Step, Topic
from cdr.record import Word


class Skipped(Word):
    """Why a trunk is not tried; false where it may be. In records: the outcome ``skipped_…``."""

    NO = ""
    DISABLED = "disabled"
    NUMBER = "number"
    """Its rewriting leaves nothing of the number that can be dialled."""
    TECH = "tech"
    """Its dial string is none that the settings allow."""
    BLOCKED = "blocked"
    """In what it would be sent it may read a number that is blocked."""
    DRAINED = "drained"
    """Somebody has said that it takes no new calls."""
    DOWN = "down"
    FULL = "full"
    """It carries as many calls as it may."""
    CPS = "cps"
    """It has had as many calls in the last second as it may."""

    @property
    def words(self) -> str:
        """What stands in a sentence after the trunk's name: ``is disabled``."""
        return _WORDS.get(self, f"is {self}")

    def of(self, trunk: str) -> str:
        """The reason as records give it: ``trunk carrier-a is disabled``."""
        return f"trunk {trunk} {self.words}"


_WORDS = {
    Skipped.NUMBER: "cannot be sent this number: nothing that can be dialled is left of it",
    Skipped.TECH: "has a dial string that DIAL_TECHNOLOGIES and LOCAL_CONTEXTS forbid",
    Skipped.BLOCKED: "would be sent a number that is blocked",
    Skipped.CPS: "has had its calls of this second",
}


@dataclass(frozen=True, slots=True)
class Target:
    """One attempt that may be made, or ``skipped`` says why not."""

    trunk: str
    endpoint: str
    callee: str
    caller: str
    ring_timeout_s: int
    skipped: Skipped = Skipped.NO


@dataclass(frozen=True, slots=True)
class Attempted:
    """The call that attempts are made for, its numbers as they are routed."""

    call_id: str
    account: AccountRow
    callee: str
    caller: str
    policy: Policy


def targets_of(
    rows: tuple[TargetRow, ...],
    call: Attempted,
    barriers: Barriers,
    trail: list[Step] | None,
) -> tuple[Target, ...]:
    """The attempts that these rows make of a call, in the order in which they are tried.

    A trunk that may read a barred number in what it is sent is skipped. Raises Unreadable.
    """
    targets = []
    for row, draw in _ordered(rows, call.call_id):
        target, how = _target(row, call, barriers)
        targets.append(target)
        if trail is not None:
            trail.append(_step(row, draw, target, how))
    return tuple(targets)


def _ordered(rows: tuple[TargetRow, ...], call_id: str) -> list[tuple[TargetRow, float]]:
    """Targets by priority, and within a priority drawn by weight; each with its draw.

    The draw is a hash of the call id, so that a call which is routed again after a crash goes
    where it went before. Each target gets the key u^(1/weight) with u uniform in (0, 1): sorting
    by it draws without replacement in proportion to the weights (Efraimidis and Spirakis, 2006).
    """

    def draw(row: TargetRow) -> float:
        digest = blake2b(f"{call_id}/{row.trunk}".encode(), digest_size=8).digest()
        uniform = (int.from_bytes(digest) + 1) / (2**64 + 2)
        return uniform ** (1 / row.weight) if row.weight > 0 else 0.0

    drawn = [(row, draw(row)) for row in rows]
    return sorted(drawn, key=lambda each: (each[0].priority, -each[1], each[0].trunk))


def _target(row: TargetRow, call: Attempted, barriers: Barriers) -> tuple[Target, str]:
    """The attempt, and why it is skipped where the reason is more than a word."""
    number, why = _rewritten(row, call.callee)
    sent = row.tech_prefix + number if number else ""
    skipped = Skipped.NO
    if not row.enabled:
        skipped = Skipped.DISABLED
    elif forbidden := endpoints.why_not(row.dial_string, call.policy):
        skipped, why = Skipped.TECH, f"its dial string {forbidden}"
    elif DIALLABLE.fullmatch(sent) is None:
        skipped = Skipped.NUMBER
    elif barred := _barred(row, number, call, barriers):
        skipped, why = Skipped.BLOCKED, barred
    target = Target(
        trunk=row.trunk,
        endpoint=endpoints.endpoint(row.dial_string, sent),
        callee=sent,
        caller=_shown_caller(row, call.account, call.caller),
        ring_timeout_s=row.ring_timeout_s,
        skipped=skipped,
    )
    return target, why


def _rewritten(row: TargetRow, callee: str) -> tuple[str, str]:
    """The number as the trunk gets it, its technical prefix apart; '' and why if there is none."""
    sent = row.route_add_prefix + callee[row.route_strip_digits :]
    sent = row.add_prefix + sent[row.strip_digits :]
    if row.rewrite_match:
        try:
            return rewrite(row.rewrite_match, row.rewrite_replace, sent), ""
        except RewriteError as error:
            # Only rows that came past the models' validation hold such a rewrite.
            return "", str(error)
    return sent, ""


def _barred(row: TargetRow, number: str, call: Attempted, barriers: Barriers) -> str:
    """What keeps the trunk from being sent this number; '' if nothing does."""
    account = call.account.numbering
    plan = account
    if row.country_code:
        plan = NumberingPlan(
            row.country_code, row.international_prefix, row.national_prefix, account.short_codes
        )
    for sent in _read(row, number, plan):
        # The form in which we route numbers is another country's only to a trunk that says so.
        if sent == call.callee and (not row.country_code or is_own_short(sent, account)):
            continue
        for other in reached(sent, plan, call.callee):
            if other != call.callee and (why := barriers.bar(other)):
                return f"sent {sent}, which it may read as {other}: {why}"
    return ""


def _read(row: TargetRow, number: str, plan: NumberingPlan) -> Iterator[str]:
    """What the trunk reads: the number with what its dial string adds, and with its technical
    prefix too where that makes an international number of it."""
    yield endpoints.dialled(row.dial_string, number)
    if row.tech_prefix:
        whole = endpoints.dialled(row.dial_string, row.tech_prefix + number)
        known = recognise(whole, plan)
        if known is not None and known[1] in (Form.PLUS, Form.INTERNATIONAL):
            yield whole


def _shown_caller(row: TargetRow, account: AccountRow, caller: str) -> str:
    match row.caller_id_policy:
        case CallerIdPolicy.FIXED:
            return row.caller_id
        case CallerIdPolicy.ACCOUNT:
            return account.caller_id or row.caller_id
        case CallerIdPolicy.ANONYMOUS:
            return ""
    return caller


def _step(row: TargetRow, draw: float, target: Target, why: str) -> Step:
    order = f"priority {row.priority}, weight {row.weight}, drew {draw:.6f}"
    if target.skipped:
        return Step(
            Topic.TARGET, row.trunk, Mark.PASSED_OVER, f"{target.skipped.words} ({why or order})"
        )
    shown = f"caller {target.caller}" if target.caller else "no caller's number"
    return Step(
        Topic.TARGET, row.trunk, Mark.FOUND, f"{order}; dials {target.endpoint} with {shown}"
    )
