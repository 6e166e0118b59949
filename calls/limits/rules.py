"""Which limits apply to a call: pure choice over the rows of the limit book.

A `Limit` in the database is for whoever keeps the switch; a `Rule` is that limit as it applies to
one call. The rules lie in the call's session, so that a call frees what it took even when the
limit has been changed or deleted meanwhile. calls/store/counters.py counts, nothing here does.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo

from calls.limits.draining import NOTHING, Drained
from calls.routing.choice import Plan, prefixes_of
from calls.routing.targets import Skipped
from cdr.moments import moment_of


class Scope(StrEnum):
    """Whose calls a limit counts."""

    GLOBAL = "global"
    ACCOUNT = "account"
    TRUNK = "trunk"
    PREFIX = "prefix"
    CAPACITY = "capacity"
    """What a trunk itself holds: the fields max_calls and max_cps of `Trunk`."""


class Metric(StrEnum):
    """What a limit counts."""

    CONCURRENT = "concurrent"
    """Calls at the same time, from their route to the begin of their end."""
    CPS = "cps"
    """Calls in any one second."""
    MINUTES = "minutes"
    """Minutes of talk in a window, counted in milliseconds."""
    MAX_DURATION = "max_duration"
    """Seconds of talk of one call. Needs no counter: it becomes the call's hard limit."""


class Window(StrEnum):
    """How long minutes are added up."""

    DAY = "day"
    MONTH = "month"


class Mode(StrEnum):
    """Whether a limit refuses, or only counts what it would have refused."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class Health(StrEnum):
    """What is known of a trunk: by its attempts, or because somebody said so."""

    AUTO = "auto"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class LimitRow:
    """An enabled limit, as the database has it. ``time_zone`` is where its days begin.

    ``whose`` is the account\'s code, the trunk\'s name or the prefix it is about, by its scope.
    """

    scope: Scope
    whose: str
    metric: Metric
    value: int
    window: str = ""
    enforce: bool = True
    warn_percent: int = 0
    time_zone: str = "UTC"
    counted_as: str = ""
    """The name of its counters, which stays when somebody is renamed; '' = ``whose``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit as it applies to one call.

    ``subject`` names the counter (``account:demo``), ``trunk`` the trunk without which the rule
    does not apply ('' = it applies to the call), ``window`` the present window of minutes
    (``day:2026-11-23``). Value: calls, calls a second, minutes or seconds, by the metric.
    """

    metric: Metric
    subject: str
    value: int
    enforce: bool
    name: str
    trunk: str = ""
    window: str = ""
    warn_percent: int = 0

    @property
    def stat(self) -> str:
        """Under which its refusals are counted: the same for every window."""
        kind = f":{self.window.partition(':')[0]}" if self.window else ""
        return f"{self.metric}{kind}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Book:
    """Every enabled limit and what trunks say of themselves, found by whom it concerns."""

    everybody: tuple[LimitRow, ...] = ()
    accounts: Mapping[str, tuple[LimitRow, ...]] = field(default_factory=dict)
    prefixes: Mapping[str, tuple[LimitRow, ...]] = field(default_factory=dict)
    trunks: Mapping[str, tuple[LimitRow, ...]] = field(default_factory=dict)
    overrides: Mapping[str, Health] = field(default_factory=dict)
    """Trunks whose health is set by hand."""
    drained: Drained = NOTHING


@dataclass(frozen=True, slots=True)
class Guarded:
    """A plan with what limits make of it.

    ``rules`` is None when nothing has to be asked for at the counters: the common case, which
    costs nothing. ``capped_by`` names the limit that shortened the plan's longest call, or ''.
    """

    plan: Plan
    rules: tuple[Rule, ...] | None = None
    capped_by: str = ""


@dataclass(frozen=True, slots=True)
class Skip:
    """A trunk that was not taken, and why: in a word, and in a sentence."""

    trunk: str
    why: Skipped
    reason: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The call has its places, and one on this trunk ('' = none has room).

    ``talk_s`` is how long it may talk by the minutes spent for it so far, ``by`` the limit with the
    least left (None = no limit).
    """

    trunk: str = ""
    skipped: tuple[Skip, ...] = ()
    talk_s: int | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Denial:
    """The call is refused by the limit of this name, and nothing was taken."""

    limit: str


def bind(
    rows: Iterable[LimitRow],
    overrides: Mapping[str, Health] | None = None,
    drained: Drained = NOTHING,
) -> Book:
    """The book of these rows."""
    found: dict[Scope, dict[str, tuple[LimitRow, ...]]] = {scope: {} for scope in Scope}
    for row in rows:
        scope = Scope.TRUNK if row.scope is Scope.CAPACITY else row.scope
        found[scope][row.whose] = (*found[scope].get(row.whose, ()), row)
    return Book(
        everybody=found[Scope.GLOBAL].get("", ()),
        accounts=MappingProxyType(found[Scope.ACCOUNT]),
        prefixes=MappingProxyType(found[Scope.PREFIX]),
        trunks=MappingProxyType(found[Scope.TRUNK]),
        overrides=MappingProxyType(dict(overrides or {})),
        drained=drained,
    )


def guard(plan: Plan, book: Book, unwell: Collection[str], at_ms: int) -> Guarded:
    """What the limits in the book make of a plan at this time (ms since the epoch).

    ``unwell`` are the trunks that are believed to be down: a plan that would use one asks at the
    counters even without a limit, because one of its calls may be the trial that brings it back.
    """
    plan = _without_trunks_set_down(plan, book)
    rules = [rule_of(row, at_ms) for row in _rows_of_call(plan, book)]
    plan, capped_by = _capped(plan, rules)
    asked = False
    for target in plan.targets:
        if target.skipped:
            continue
        rules += [rule_of(row, at_ms) for row in book.trunks.get(target.trunk, ())]
        up_by_hand = book.overrides.get(target.trunk) is Health.UP
        asked = asked or (target.trunk in unwell and not up_by_hand)
    counted = tuple(
        rule for rule in rules if rule.metric is not Metric.MAX_DURATION or not rule.enforce
    )
    return Guarded(plan, counted if counted or asked else None, capped_by)


def rule_of(row: LimitRow, at_ms: int) -> Rule:
    """The limit as it applies to a call at this time."""
    of_trunk = row.scope in (Scope.TRUNK, Scope.CAPACITY)
    return Rule(
        metric=row.metric,
        subject=f"{row.scope}:{row.counted_as or row.whose}",
        value=row.value,
        enforce=row.enforce,
        name=name_of(row.scope, row.whose, row.metric, row.value, row.window),
        trunk=row.whose if of_trunk else "",
        window=window_label(row.window, row.time_zone, at_ms),
        warn_percent=row.warn_percent,
    )


def name_of(scope: str, whose: str, metric: str, value: int, window: str) -> str:
    """A limit's name in records and logs, such as ``account demo: 50 concurrent``."""
    shown = Scope.TRUNK if scope == Scope.CAPACITY else scope
    named = f"{shown} {whose}" if whose else "all calls"
    many = "" if value == 1 else "s"
    what = {
        Metric.CONCURRENT.value: "concurrent",
        Metric.CPS.value: f"call{many} a second",
        Metric.MINUTES.value: f"minute{many} a {window}",
        Metric.MAX_DURATION.value: f"second{many} at most",
    }[str(metric)]
    return f"{named}: {value} {what}"


def window_label(window: str, time_zone: str, at_ms: int) -> str:
    """The window in which this time lies, as ``day:2026-11-23`` or ``month:2026-11``."""
    if not window:
        return ""
    zone = UTC if time_zone == "UTC" else ZoneInfo(time_zone)
    local = moment_of(at_ms, zone)
    return f"{window}:{local:%Y-%m-%d}" if window == Window.DAY else f"{window}:{local:%Y-%m}"


def _without_trunks_set_down(plan: Plan, book: Book) -> Plan:
    if not book.overrides and not book.drained.trunks:
        return plan
    targets = tuple(
        replace(target, skipped=target.skipped or _by_hand(target.trunk, book))
        for target in plan.targets
    )
    return replace(plan, targets=targets) if targets != plan.targets else plan


def _by_hand(trunk: str, book: Book) -> Skipped:
    if book.overrides.get(trunk) is Health.DOWN:
        return Skipped.DOWN
    return Skipped.DRAINED if trunk in book.drained.trunks else Skipped.NO


def _rows_of_call(plan: Plan, book: Book) -> Iterable[LimitRow]:
    yield from book.everybody
    yield from book.accounts.get(plan.account, ())
    if book.prefixes:
        # What a rewriting makes of the number is counted too, or it would lead around a limit.
        numbers = (plan.callee, *plan.also)
        for prefix in dict.fromkeys(each for number in numbers for each in prefixes_of(number)):
            yield from book.prefixes.get(prefix, ())


def _capped(plan: Plan, rules: Iterable[Rule]) -> tuple[Plan, str]:
    longest = [each for each in rules if each.metric is Metric.MAX_DURATION and each.enforce]
    shortest = min(longest, key=lambda rule: rule.value, default=None)
    if shortest is None or shortest.value >= plan.max_call_s:
        return plan, ""
    return replace(plan, max_call_s=shortest.value), shortest.name
