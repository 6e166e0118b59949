"""Who may call, and where a number goes: pure choice over the rows that the directory found.

The live path and every tool that explains it call `choose`; nothing here knows a database.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b

from calls import causes
from cdr.record import Disposition

DIALLABLE = re.compile(r"\+?[0-9*#A-D]{1,32}")
"""What may be put into a dial string. Anything else in a dialled number (`@ / & , ^`) would change
where the call goes, which is how toll fraud is done, so the call is refused instead of cleaned."""

MAX_SHOWN = 64
"""Hostile numbers are shown in logs and records up to this length, in characters."""


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call when it asks for a route."""

    call_id: str
    dialled: str
    caller_number: str
    account_keys: tuple[str, ...]
    """Codes under which the account is looked up, first match wins: accountcode, endpoint."""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A trunk that a route names, as the database has it."""

    trunk: str
    dial_string: str
    enabled: bool
    ring_timeout_s: int
    strip_digits: int
    add_prefix: str
    caller_id: str
    priority: int
    weight: int


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route whose prefix begins the number, with its targets."""

    route_id: int
    prefix: str
    own: bool
    """Whether it belongs to the calling account alone."""
    block: bool
    targets: tuple[TargetRow, ...]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """The calling account with the routes that could serve the number."""

    code: str
    enabled: bool
    max_call_s: int | None
    routes: tuple[RouteRow, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """One attempt that may be made. ``skipped`` names why it may not, '' if it may."""

    trunk: str
    endpoint: str
    callee: str
    caller: str
    ring_timeout_s: int
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a call may go: targets in the order in which they are tried."""

    account: str
    callee: str
    caller: str
    prefix: str
    route: str
    max_call_s: int
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call goes nowhere. ``cause`` (Q.850) is what the caller hears."""

    disposition: Disposition
    cause: int
    reason: str
    account: str = ""
    callee: str = ""
    caller: str = ""
    prefix: str = ""
    route: str = ""
    targets: tuple[Target, ...] = ()


def normalise(number: str) -> str | None:
    """The number as it is routed: digits and `*#A-D` without a leading +; None if not diallable."""
    if DIALLABLE.fullmatch(number) is None:
        return None
    return number.removeprefix("+")


def prefixes_of(number: str) -> tuple[str, ...]:
    """Every prefix under which a route for *number* may stand, the empty one included."""
    return tuple(number[:length] for length in range(min(len(number), 15) + 1))


def endpoint_of(channel_name: str) -> str:
    """The endpoint in a channel's name: ``alice`` for ``PJSIP/alice-0000002a``."""
    return channel_name.partition("/")[2].rpartition("-")[0]


def choose(
    facts: CallFacts, accounts: tuple[AccountRow, ...], default_max_call_s: int
) -> Plan | Refusal:
    """The plan for a call, or why there is none.

    ``accounts`` are those among ``facts.account_keys`` that exist, each with the routes whose
    prefix begins the number; ``default_max_call_s`` holds where the account names no maximum.
    """
    caller = normalise(facts.caller_number) or ""
    account = _account(facts.account_keys, accounts)
    if account is None or not account.enabled:
        return Refusal(
            Disposition.UNAUTHORIZED,
            causes.REJECTED,
            f"account {account.code} is disabled" if account else _no_account(facts.account_keys),
            account=account.code if account else "",
            caller=caller,
        )
    callee = normalise(facts.dialled)
    if callee is None:
        return Refusal(
            Disposition.INVALID_NUMBER,
            causes.INVALID_NUMBER,
            f"the dialled number {facts.dialled[:MAX_SHOWN]!r} has characters or a length "
            "that no telephone number has",
            account=account.code,
            caller=caller,
        )
    route = _longest(account.routes)
    if route is None:
        return Refusal(
            Disposition.NO_ROUTE,
            causes.UNALLOCATED,
            f"no route of account {account.code} has a prefix of {callee}",
            account=account.code,
            callee=callee,
            caller=caller,
        )
    return _plan(facts, account, route, caller, callee, default_max_call_s)


def _plan(
    facts: CallFacts,
    account: AccountRow,
    route: RouteRow,
    caller: str,
    callee: str,
    default_max_call_s: int,
) -> Plan | Refusal:
    label = f"{route.prefix or 'default'} ({account.code if route.own else 'all'})"
    targets = tuple(_target(row, callee, caller) for row in _ordered(route.targets, facts.call_id))
    if route.block:
        verdict = (Disposition.BLOCKED, causes.REJECTED, f"route {label} blocks this number")
    elif not targets:
        verdict = (Disposition.NO_ROUTE, causes.UNALLOCATED, f"route {label} names no trunk")
    elif all(target.skipped for target in targets):
        skipped = ", ".join(f"{target.trunk} is {target.skipped}" for target in targets)
        verdict = (Disposition.CONGESTION, causes.CONGESTION, f"route {label}: {skipped}")
    else:
        max_call_s = account.max_call_s or default_max_call_s
        return Plan(account.code, callee, caller, route.prefix, label, max_call_s, targets)
    return Refusal(*verdict, account.code, callee, caller, route.prefix, label, targets)


def _account(keys: tuple[str, ...], accounts: tuple[AccountRow, ...]) -> AccountRow | None:
    by_code = {account.code: account for account in accounts}
    return next((by_code[key] for key in keys if key in by_code), None)


def _no_account(keys: tuple[str, ...]) -> str:
    tried = " or ".join(repr(key[:MAX_SHOWN]) for key in keys)
    return f"no account has the code {tried}" if tried else "the caller's channel names no account"


def _longest(routes: tuple[RouteRow, ...]) -> RouteRow | None:
    return max(routes, key=lambda route: (len(route.prefix), route.own), default=None)


def _ordered(rows: tuple[TargetRow, ...], call_id: str) -> list[TargetRow]:
    """Targets by priority; within a priority drawn by weight.

    The draw is a hash of the call id, so that a call which is routed again after a crash goes
    where it went before. Each target gets the key u^(1/weight) with u uniform in (0, 1): sorting
    by it draws without replacement in proportion to the weights (Efraimidis and Spirakis, 2006).
    """

    def draw(row: TargetRow) -> float:
        digest = blake2b(f"{call_id}/{row.trunk}".encode(), digest_size=8).digest()
        uniform = (int.from_bytes(digest) + 1) / (2**64 + 2)
        return uniform ** (1 / row.weight) if row.weight > 0 else 0.0

    return sorted(rows, key=lambda row: (row.priority, -draw(row), row.trunk))


def _target(row: TargetRow, callee: str, caller: str) -> Target:
    sent = row.add_prefix + callee[row.strip_digits :]
    return Target(
        trunk=row.trunk,
        endpoint=row.dial_string.replace("{number}", sent),
        callee=sent,
        caller=row.caller_id or caller,
        ring_timeout_s=row.ring_timeout_s,
        skipped="" if row.enabled else "disabled",
    )
