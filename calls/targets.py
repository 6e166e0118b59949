"""A route's trunks as attempts: in which order, with which number, shown whose number. Pure."""

from dataclasses import dataclass
from hashlib import blake2b

from calls.numbers import DIALLABLE
from calls.rewrites import RewriteError, rewrite
from calls.rows import AccountRow, CallerIdPolicy, TargetRow
from calls.steps import Mark, Step, Topic

_WHY = {"number": "cannot be sent this number: nothing that can be dialled is left of it"}


@dataclass(frozen=True, slots=True)
class Target:
    """One attempt that may be made. ``skipped`` names why it may not, '' if it may."""

    trunk: str
    endpoint: str
    callee: str
    caller: str
    ring_timeout_s: int
    skipped: str = ""

    @property
    def why_skipped(self) -> str:
        """What stands in a sentence after the trunk's name: ``is disabled``."""
        return _WHY.get(self.skipped, f"is {self.skipped}")


def targets_of(
    rows: tuple[TargetRow, ...],
    call_id: str,
    account: AccountRow,
    callee: str,
    caller: str,
    trail: list[Step] | None,
) -> tuple[Target, ...]:
    """The attempts that these rows make of a call, in the order in which they are tried."""
    targets = []
    for row, draw in _ordered(rows, call_id):
        target, how = _target(row, account, callee, caller)
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


def _target(
    row: TargetRow, account: AccountRow, callee: str, caller: str
) -> tuple[Target, RewriteError | None]:
    sent = row.route_add_prefix + callee[row.route_strip_digits :]
    sent = row.add_prefix + sent[row.strip_digits :]
    wrong = None
    if row.rewrite_match:
        try:
            sent = rewrite(row.rewrite_match, row.rewrite_replace, sent)
        except RewriteError as error:
            # Only rows that came past the models' validation hold such a rewrite.
            sent, wrong = "", error
    skipped = ""
    if not row.enabled:
        skipped = "disabled"
    elif DIALLABLE.fullmatch(sent) is None:
        skipped = "number"
    target = Target(
        trunk=row.trunk,
        endpoint=row.dial_string.replace("{number}", sent),
        callee=sent,
        caller=_shown_caller(row, account, caller),
        ring_timeout_s=row.ring_timeout_s,
        skipped=skipped,
    )
    return target, wrong


def _shown_caller(row: TargetRow, account: AccountRow, caller: str) -> str:
    match row.caller_id_policy:
        case CallerIdPolicy.FIXED:
            return row.caller_id
        case CallerIdPolicy.ACCOUNT:
            return account.caller_id or row.caller_id
        case CallerIdPolicy.ANONYMOUS:
            return ""
    return caller


def _step(row: TargetRow, draw: float, target: Target, wrong: RewriteError | None) -> Step:
    order = f"priority {row.priority}, weight {row.weight}, drew {draw:.6f}"
    if target.skipped:
        return Step(
            Topic.TARGET, row.trunk, Mark.PASSED_OVER, f"{target.why_skipped} ({wrong or order})"
        )
    shown = f"caller {target.caller}" if target.caller else "no caller's number"
    return Step(
        Topic.TARGET, row.trunk, Mark.FOUND, f"{order}; dials {target.endpoint} with {shown}"
    )
