"""Who may call, and where a number goes: pure choice over the rows that the directory found.

The live path and every tool that explains it call `choose`; nothing here knows a database or a
clock. Asked to explain, it notes each step on the way, and the way is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from types import MappingProxyType

from calls import causes
from calls.routing.barriers import Barriers, Unreadable, allowed, not_allowed, why_not_now
from calls.routing.canary import targets_for
from calls.routing.numbers import Form, NumberingPlan, normalise, prefixes_of, recognise, shown
from calls.routing.policy import Policy
from calls.routing.rows import AccountRow, BlockRow, RouteRow, Side, TargetRow
from calls.routing.steps import Mark, Step, Topic
from calls.routing.targets import Attempted, Skipped, Target, targets_of
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
    "Unproven",
    "choose",
    "endpoint_of",
    "normalise",
    "prefixes_of",
    "source_of",
]

NO_MORE = Policy()
"""What holds where nobody says what the settings allow: no more than they allow by default."""

NOTHING: Mapping[str, tuple[AccountRow, ...]] = MappingProxyType({})

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
    hops: int = 0
    """Through how many switches of ours the call has come before."""
    trunk: str = ""
    """The one trunk to go by, whatever the route says; '' for those of the route."""
    source: str = ""
    """From where it comes, whoever its account is; by `source_of`."""


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
    also: tuple[str, ...] = ()
    """Numbers besides the callee that one of the trunks may read in what it is sent."""
    note: str = ""
    """What the record says of the call however it ends, such as whose number was not shown."""
    steps: tuple[Step, ...] = field(default=(), compare=False)
    """How it was come to, where that was asked for."""
    canary: str = ""
    """Of a route with a canary: which one, and the call's arm, ``7:new``."""


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
    canary: str = ""
    """As of `Plan`: a call that none of its arm's trunks may take is that arm's failure."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """The call would reach numbers whose blocklist entries and routes nobody has looked up yet.

    Nobody can take it for a plan: `choose` is to be asked again with the rows of these numbers.
    """

    numbers: tuple[str, ...]


def endpoint_of(channel_name: str) -> str:
    """The endpoint in a channel's name: ``alice`` for ``PJSIP/alice-0000002a``."""
    return channel_name.partition("/")[2].rpartition("-")[0]


def account_keys(account_code: str, channel_name: str) -> tuple[str, ...]:
    """The codes of whom a caller belongs to: the channel's accountcode, and only where it has none
    at all its endpoint's name.

    Were the endpoint tried also where nobody has that accountcode, renaming an account would hand
    its callers over to whoever is called like their endpoint, past its limits and its bill.
    """
    key = account_code or endpoint_of(channel_name)
    return (key,) if key else ()


def source_of(account_code: str, channel_name: str) -> str:
    """From where a call comes: the endpoint that calls, or the accountcode where it has no name."""
    return endpoint_of(channel_name) or account_code


def choose(
    facts: CallFacts,
    accounts: tuple[AccountRow, ...],
    default_max_call_s: int,
    *,
    policy: Policy = NO_MORE,
    others: Mapping[str, tuple[AccountRow, ...]] = NOTHING,
    caller_checked: bool = True,
    explain: bool = False,
    only: TargetRow | None = None,
) -> Plan | Refusal | Unproven:
    """The plan for a call, or why there is none; with its ``steps`` where *explain* asks for them.

    ``accounts`` are those among ``facts.account_keys`` that exist, each with the routes whose
    prefix begins the number and the blocklist entries whose prefix begins one of the two numbers;
    ``default_max_call_s`` holds where the account names no maximum; ``policy`` is what the settings
    allow all calls. ``others`` are the same rows for numbers that an answer `Unproven` named.
    ``caller_checked`` is False where the caller's blocklist entries could not be asked for.
    ``only`` is the trunk that ``facts.trunk`` names, None where there is none of that name.
    """
    trail: Trail = [] if explain else None
    known = _Known(facts, accounts, default_max_call_s, policy, others, caller_checked, only)
    found = _choose(known, trail)
    if trail is None or isinstance(found, Unproven):
        return found
    return replace(found, steps=tuple(trail))


@dataclass(frozen=True, slots=True)
class _Known:
    """All that a choice is made from."""

    facts: CallFacts
    accounts: tuple[AccountRow, ...]
    default_max_call_s: int
    policy: Policy
    others: Mapping[str, tuple[AccountRow, ...]]
    caller_checked: bool
    only: TargetRow | None


def _choose(known: _Known, trail: Trail) -> Plan | Refusal | Unproven:
    facts = known.facts
    account = _account(facts.account_keys, known.accounts, trail)
    if account is None or not account.enabled:
        return Refusal(
            Disposition.UNAUTHORIZED,
            causes.REJECTED,
            f"account {account.code} is disabled" if account else _no_account(facts.account_keys),
            account=account.code if account else "",
            caller=normalise(facts.caller_number) or "",
        )
    caller = _number(Topic.CALLER, facts.caller_number, account.numbering, trail)
    callee = _number(Topic.CALLEE, facts.dialled, account.numbering, trail)

    def refuse(disposition: Disposition, cause: int, reason: str) -> Refusal:
        return Refusal(disposition, cause, reason, account.code, callee, caller)

    if facts.hops >= known.policy.max_hops:
        return refuse(
            Disposition.LOOP,
            # 503, so that whoever sent it hunts on. Q.850's own cause 25 would be heard as 603.
            causes.CONGESTION,
            f"the call comes back to us: it has been through {facts.hops} "
            f"switch{'es' * (facts.hops > 1)} of ours (MAX_HOPS is {known.policy.max_hops})",
        )
    if not callee:
        return refuse(
            Disposition.INVALID_NUMBER,
            causes.INVALID_NUMBER,
            f"the dialled number {shown(facts.dialled)} is no telephone number with its country "
            f"code and no short number of account {account.code}",
        )
    block = _block(account, callee, caller, trail)
    if block is not None:
        reason = f"blocklist entry {block.label(account.code)}"
        return refuse(Disposition.BLOCKED, causes.REJECTED, reason)
    if account.refuse_unchecked and not known.caller_checked:
        return refuse(
            Disposition.CONGESTION,
            causes.TEMPORARY_FAILURE,
            f"nobody can tell now whether the caller {shown(facts.caller_number)} is blocked, and "
            f"account {account.code} refuses what cannot be checked",
        )
    if not allowed(account, callee):
        if trail is not None:
            trail.append(Step(Topic.ALLOWED, callee, Mark.REFUSED, "no allowed prefix begins it"))
        return refuse(Disposition.BLOCKED, causes.REJECTED, not_allowed(account, callee))
    try:
        route = _route(facts, account, callee, trail)
        if facts.trunk and (route is None or not route.block):
            if known.only is None:
                reason = f"there is no trunk {shown(facts.trunk)}"
                return refuse(Disposition.NO_ROUTE, causes.UNALLOCATED, reason)
            by_it = RouteRow(0, route.prefix if route else "", False, False, (known.only,))
            label = f"trunk {known.only.trunk} alone"
            return _plan(known, account, by_it, label, caller, callee, trail)
        if route is not None:
            label = route.label(account.code)
            return _plan(known, account, route, label, caller, callee, trail)
    except Unreadable as error:
        # Passing over it could let a blocked number through to a shorter prefix.
        return refuse(Disposition.CONGESTION, causes.TEMPORARY_FAILURE, str(error))
    return refuse(
        Disposition.NO_ROUTE,
        causes.UNALLOCATED,
        f"no route of account {account.code} has a prefix of {callee}"
        + (" and holds now" if account.routes else ""),
    )


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
    fitting = sorted(
        (block for block in account.blocks if _fits(block, callee, caller)),
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


def _fits(block: BlockRow, callee: str, caller: str) -> bool:
    match block.side:
        case Side.NO_CALLER:
            return not caller
        case Side.CALLER:
            return bool(caller) and caller.startswith(block.prefix)
    return callee.startswith(block.prefix)


# --- The route ------------------------------------------------------------------------------------


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
            why_not = why_not_now(route, account, facts.at_ms)
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


# --- The plan -------------------------------------------------------------------------------------


def _plan(
    known: _Known,
    account: AccountRow,
    route: RouteRow,
    label: str,
    caller: str,
    callee: str,
    trail: Trail,
) -> Plan | Refusal | Unproven:
    rows, canary = ((), "") if route.block else targets_for(route, known.facts.call_id, trail)
    shown_caller, note = _own_caller(account, caller, trail)
    others = {
        number: next((row for row in found if row.code == account.code), None)
        for number, found in known.others.items()
    }
    barriers = Barriers(account, callee, known.facts.at_ms, others)
    asked = Attempted(known.facts.call_id, account, callee, shown_caller, known.policy)
    targets = targets_of(rows, asked, barriers, trail)
    if barriers.missing:
        return Unproven(tuple(barriers.missing))
    if route.block:
        verdict = (Disposition.BLOCKED, causes.REJECTED, f"route {label} blocks this number")
    elif not targets:
        verdict = (Disposition.NO_ROUTE, causes.UNALLOCATED, f"route {label} names no trunk")
    elif all(target.skipped for target in targets):
        skipped = ", ".join(f"{target.trunk} {target.skipped.words}" for target in targets)
        barred = all(target.skipped is Skipped.BLOCKED for target in targets)
        disposition = Disposition.BLOCKED if barred else Disposition.CONGESTION
        cause = causes.REJECTED if barred else causes.CONGESTION
        verdict = (disposition, cause, f"route {label}: {skipped}")
    else:
        max_call_s = account.max_call_s or known.default_max_call_s
        return Plan(
            account.code,
            callee,
            shown_caller,
            route.prefix,
            label,
            max_call_s,
            targets,
            tuple(barriers.free),
            note,
            canary=canary,
        )
    where = (account.code, callee, caller, route.prefix, label)
    return Refusal(*verdict, *where, targets, canary=canary)


def _own_caller(account: AccountRow, caller: str, trail: Trail) -> tuple[str, str]:
    """The caller's number as it may be shown, and what is noted where it is another."""
    if not caller or not account.allowed_callers or caller.startswith(account.allowed_callers):
        return caller, ""
    own = normalise(account.caller_id, account.numbering) or ""
    instead = f"{own} is shown" if own else "none is shown"
    note = f"the caller's number {caller} is none of account {account.code}'s: {instead}"
    if trail is not None:
        trail.append(Step(Topic.CALLER, caller, Mark.PASSED_OVER, f"is not allowed: {instead}"))
    return own, note
