"""Who may call, and where a number goes: pure choice over the rows that the directory found.

The live path and every tool that explains it call `choose`; nothing here knows a database or a
clock. Asked to explain, it notes each step on the way, and the way is the same.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from calls import causes
from calls.numbers import Form, NumberingPlan, normalise, prefixes_of, recognise, shown
from calls.rows import AccountRow, BlockRow, RouteRow, Side, TargetRow
from calls.schedules import ScheduleError, read_schedule
from calls.steps import Mark, Step, Topic
from calls.targets import Target, targets_of
from cdr.record import Disposition

__all__ = [
    "AccountRow",
    "BlockRow",
    "CallFacts",
    "NumberingPlan",
    "Plan",
    "Refusal",
    "RouteRow",
    "Target",
    "TargetRow",
    "choose",
    "endpoint_of",
    "normalise",
    "prefixes_of",
]

Trail = list[Step] | None
"""Where steps are noted; None where nobody asked for them."""


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call when it asks for a route."""

    call_id: str
    dialled: str
    caller_number: str
    account_keys: tuple[str, ...]
    """Codes under which the account is looked up, first match wins: accountcode, endpoint."""
    at_ms: int
    """When the call began, in milliseconds since the Unix epoch."""


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
    steps: tuple[Step, ...] = field(default=(), compare=False)
    """How it was come to, where that was asked for."""


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
    steps: tuple[Step, ...] = field(default=(), compare=False)
    """How it was come to, where that was asked for."""


def endpoint_of(channel_name: str) -> str:
    """The endpoint in a channel's name: ``alice`` for ``PJSIP/alice-0000002a``."""
    return channel_name.partition("/")[2].rpartition("-")[0]


def choose(
    facts: CallFacts,
    accounts: tuple[AccountRow, ...],
    default_max_call_s: int,
    *,
    explain: bool = False,
) -> Plan | Refusal:
    """The plan for a call, or why there is none; with its ``steps`` where *explain* asks for them.

    ``accounts`` are those among ``facts.account_keys`` that exist, each with the routes whose
    prefix begins the number and the blocklist entries whose prefix begins one of the two numbers;
    ``default_max_call_s`` holds where the account names no maximum.
    """
    trail: Trail = [] if explain else None
    found = _choose(facts, accounts, default_max_call_s, trail)
    return found if trail is None else replace(found, steps=tuple(trail))


def _choose(
    facts: CallFacts, accounts: tuple[AccountRow, ...], default_max_call_s: int, trail: Trail
) -> Plan | Refusal:
    account = _account(facts.account_keys, accounts, trail)
    if account is None or not account.enabled:
        return Refusal(
            Disposition.UNAUTHORIZED,
            causes.REJECTED,
            f"account {account.code} is disabled" if account else _no_account(facts.account_keys),
            account=account.code if account else "",
            caller=normalise(facts.caller_number) or "",
        )
    caller = _number(Topic.CALLER, facts.caller_number, account.plan, trail)
    callee = _number(Topic.CALLEE, facts.dialled, account.plan, trail)
    if not callee:
        return Refusal(
            Disposition.INVALID_NUMBER,
            causes.INVALID_NUMBER,
            f"the dialled number {shown(facts.dialled)} has characters or a length "
            "that no telephone number has",
            account=account.code,
            caller=caller,
        )
    block = _block(account, callee, caller, trail)
    if block is not None:
        return Refusal(
            Disposition.BLOCKED,
            causes.REJECTED,
            f"blocklist entry {block.label(account.code)}",
            account=account.code,
            callee=callee,
            caller=caller,
        )
    try:
        route = _route(facts, account, callee, trail)
    except _Unreadable as error:
        # Passing over it could let a blocked number through to a shorter prefix.
        return Refusal(
            Disposition.CONGESTION,
            causes.TEMPORARY_FAILURE,
            str(error),
            account=account.code,
            callee=callee,
            caller=caller,
        )
    if route is None:
        return Refusal(
            Disposition.NO_ROUTE,
            causes.UNALLOCATED,
            f"no route of account {account.code} has a prefix of {callee}"
            + (" and holds now" if account.routes else ""),
            account=account.code,
            callee=callee,
            caller=caller,
        )
    return _plan(facts, account, route, caller, callee, default_max_call_s, trail)


# --- Who calls, and which number ------------------------------------------------------------------


def _account(
    keys: tuple[str, ...], accounts: tuple[AccountRow, ...], trail: Trail
) -> AccountRow | None:
    by_code = {account.code: account for account in accounts}
    account = next((by_code[key] for key in keys if key in by_code), None)
    if trail is not None:
        for key in keys:
            if account is not None and key == account.code:
                trail.append(
                    Step(Topic.ACCOUNT, key, Mark.FOUND)
                    if account.enabled
                    else Step(Topic.ACCOUNT, key, Mark.REFUSED, "is disabled")
                )
                break
            trail.append(Step(Topic.ACCOUNT, shown(key), Mark.PASSED_OVER, "no account"))
        if account is None:
            trail.append(Step(Topic.ACCOUNT, "", Mark.REFUSED, _no_account(keys)))
    return account


def _no_account(keys: tuple[str, ...]) -> str:
    tried = " or ".join(shown(key) for key in keys)
    return f"no account has the code {tried}" if tried else "the caller's channel names no account"


def _number(topic: Topic, received: str, plan: NumberingPlan, trail: Trail) -> str:
    known = recognise(received, plan)
    digits, form = known or ("", Form.AS_IT_IS)
    if trail is not None:
        refused = Mark.REFUSED if topic is Topic.CALLEE else Mark.PASSED_OVER
        trail.append(
            Step(topic, digits, Mark.FOUND, f"{shown(received)}: {form}")
            if known
            else Step(topic, shown(received), refused, "is no telephone number")
            if received
            else Step(topic, "", refused, "no number")
        )
    return digits


# --- The blocklists -------------------------------------------------------------------------------


def _block(account: AccountRow, callee: str, caller: str, trail: Trail) -> BlockRow | None:
    """The entry that blocks the call: the callee's before the caller's, the longest first."""
    numbers = {Side.CALLEE: callee, Side.CALLER: caller}
    fitting = sorted(
        (block for block in account.blocks if numbers[Side(block.side)].startswith(block.prefix)),
        key=lambda block: (block.side != Side.CALLEE, -len(block.prefix), not block.own),
    )
    found = next((block for block in fitting if block.enabled), None)
    if trail is not None:
        for block in fitting:
            mark, detail = Mark.PASSED_OVER, "is disabled"
            if block is found:
                mark, detail = Mark.REFUSED, "blocks this call"
            trail.append(Step(Topic.BLOCKLIST, block.label(account.code), mark, detail))
            if block is found:
                break
        if not fitting:
            trail.append(Step(Topic.BLOCKLIST, "", Mark.PASSED_OVER, "no entry fits this call"))
    return found


# --- The route ------------------------------------------------------------------------------------


class _Unreadable(Exception):
    """A route that would be next has a schedule or a time zone that cannot be read."""


def _route(facts: CallFacts, account: AccountRow, callee: str, trail: Trail) -> RouteRow | None:
    """The route of the longest prefix that holds now; the account's own before all accounts'."""
    ordered = sorted(account.routes, key=lambda route: (-len(route.prefix), not route.own))
    by_prefix = {
        prefix: tuple(rows) for prefix, rows in groupby(ordered, key=lambda route: route.prefix)
    }
    for prefix in reversed(prefixes_of(callee)):
        rows = by_prefix.get(prefix, ())
        if trail is not None and not rows:
            trail.append(Step(Topic.PREFIX, prefix or "default", Mark.PASSED_OVER, "no route"))
        for route in rows:
            why_not = _why_not(route, account, facts.at_ms)
            if trail is not None:
                mark, what = Mark.PASSED_OVER, why_not
                if not why_not:
                    mark = Mark.REFUSED if route.block else Mark.FOUND
                    what = "blocks this number" if route.block else "is the route"
                label = route.label(account.code)
                trail.append(Step(Topic.PREFIX, prefix or "default", mark, f"route {label} {what}"))
            if not why_not:
                return route
    return None


def _why_not(route: RouteRow, account: AccountRow, at_ms: int) -> str:
    """Why the route does not hold now; '' if it does."""
    if not route.enabled:
        return "is disabled"
    if route.valid_from_ms is not None and at_ms < route.valid_from_ms:
        return f"is not valid before {_utc(route.valid_from_ms)}"
    if route.valid_until_ms is not None and at_ms >= route.valid_until_ms:
        return f"was valid until {_utc(route.valid_until_ms)}"
    if not route.schedule:
        return ""
    try:
        local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(account.time_zone))
        if read_schedule(route.schedule).covers(local):
            return ""
    except ScheduleError as error:
        label = route.label(account.code)
        raise _Unreadable(f"route {label} has a schedule that cannot be read: {error}") from error
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise _Unreadable(
            f"account {account.code} has a time zone that is not known here: {account.time_zone!r}"
        ) from error
    return f"is outside its schedule {route.schedule} ({local:%a %H:%M} in {account.time_zone})"


def _utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


# --- The plan -------------------------------------------------------------------------------------


def _plan(
    facts: CallFacts,
    account: AccountRow,
    route: RouteRow,
    caller: str,
    callee: str,
    default_max_call_s: int,
    trail: Trail,
) -> Plan | Refusal:
    label = route.label(account.code)
    rows = () if route.block else route.targets
    targets = targets_of(rows, facts.call_id, account, callee, caller, trail)
    if route.block:
        verdict = (Disposition.BLOCKED, causes.REJECTED, f"route {label} blocks this number")
    elif not targets:
        verdict = (Disposition.NO_ROUTE, causes.UNALLOCATED, f"route {label} names no trunk")
    elif all(target.skipped for target in targets):
        skipped = ", ".join(f"{target.trunk} {target.why_skipped}" for target in targets)
        verdict = (Disposition.CONGESTION, causes.CONGESTION, f"route {label}: {skipped}")
    else:
        max_call_s = account.max_call_s or default_max_call_s
        return Plan(account.code, callee, caller, route.prefix, label, max_call_s, targets)
    return Refusal(*verdict, account.code, callee, caller, route.prefix, label, targets)
