"""The admin's front page: how the switch does, and what is wrong with it.

It refreshes itself from Redis and the hourly sums alone; no table of calls is read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from calls.admin import canaries
from calls.admin.first_steps import first_steps
from calls.admin.limits import rules_of
from calls.admin.troubles import NEEDED, LimitUse, Trouble, Webhook, troubles
from calls.clock import wall_clock_ms
from calls.engine.draining import Draining, drains
from calls.limits.health import TrunkState
from calls.limits.rules import Health, Metric, Mode, rule_of
from calls.models import Limit, Trunk, WebhookEndpoint
from calls.store.pulse import Pulse, pulse
from calls.store.usage import Usage, trunk_states, usage
from cdr.charts import Series, chart, number
from cdr.display import Form, clock, moment
from cdr.models import HourlyCalls
from cdr.moments import moment_of
from cdr.pages import fragment, permitted
from cdr.rates import Sums
from cdr.recent import Recent
from cdr.rollup import HOUR, hour_of
from cdr.sums import by_hour, by_key, total

AWAY = (
    "Redis (REDIS_URL) does not answer: what is up now cannot be shown, and no new call is "
    "attended to until it does."
)
HOURS = 24
WEEK = timedelta(days=7)
MOST_TRUNKS = 15
MOST_LIMITS = 8
NEAR_PERCENT = 80
"""From when on a limit without a warning of its own is shown as nearly used."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure: now, and what to hold it against."""

    title: str
    now: str
    against: Sequence[tuple[str, str]]
    help: str


@dataclass(frozen=True, slots=True)
class TrunkLine:
    """A trunk on the front page."""

    trunk: Trunk
    health: str
    colour: str
    up: str
    percent: float
    sums: Sums
    link: str

    @property
    def pdd(self) -> str:
        """The median post-dial delay."""
        return _figure(_seconds(self.sums.pdd_ms(50)), " s")


def context(request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    """What unfold's front page is given (UNFOLD["DASHBOARD_CALLBACK"])."""
    return given | _context(request) | {"is_fullwidth": "1", "title": "Dashboard"}


@require_safe
@permitted()
def dashboard_part(request: HttpRequest) -> HttpResponse:
    """The part of the front page that refreshes itself."""
    return fragment(request, "calls/dashboard_part.html", _context(request))


def _context(request: HttpRequest) -> dict[str, Any]:
    may = request.user.has_perm
    felt, away = _or_away(pulse)
    trunks = _trunks() if may("calls.view_trunk") else []
    limits = _limits() if may("calls.view_limit") else []
    wrong = (
        [Trouble(AWAY)]
        if felt is None
        else troubles(
            felt,
            _healths(trunks),
            limits,
            _drains() if may("calls.view_drain") else (),
            _webhooks() if may("calls.view_webhookendpoint") else (),
            canaries.news() if may("calls.view_canary") else (),
        )
    )
    context = {
        "troubles": wrong,
        "steps": first_steps(request.user, felt),
        "trunks": trunks[:MOST_TRUNKS],
        "more_trunks": len(trunks) - MOST_TRUNKS,
        "limits": limits[:MOST_LIMITS],
        "canaries": canaries.running() if may("calls.view_canary") else [],
        "away": away,
        "pulse": felt,
        "processes": _processes(felt) if felt else [],
    }
    if may("cdr.view_cdr"):
        context |= _figures(felt) | {"ledger": _ledger(felt)}
    return context


def _webhooks() -> list[Webhook]:
    return [
        Webhook(
            each.name,
            each.enabled,
            each.disabled_because,
            f"{each.failing_since:%Y-%m-%d %H:%M} UTC" if each.failing_since else "",
            reverse("admin:calls_webhookendpoint_change", args=(each.pk,)),
        )
        for each in WebhookEndpoint.objects.all()
    ]


def _or_away(feel: Callable[[], Pulse]) -> tuple[Pulse | None, str]:
    try:
        return feel(), ""
    except redis.RedisError:
        return None, AWAY


# --- Figures ---


def _figures(felt: Pulse | None) -> dict[str, Any]:
    this_hour = hour_of(timezone.now())
    hours = [this_hour - HOUR * back for back in reversed(range(HOURS))]
    found = by_hour(HourlyCalls.Kind.ALL, "", hours[0] - WEEK, this_hour)
    day = [found.get(hour, Sums()) for hour in hours]
    week = [found.get(hour - WEEK, Sums()) for hour in hours]
    return {"tiles": _tiles(felt, total(day), total(week)), "charts": _charts(hours, day, week)}


def _tiles(felt: Pulse | None, day: Sums, week: Sums) -> list[Tile]:
    now, hour = (felt.now, felt.hour) if felt else (Recent(1), Recent(1))
    spread = HOURS * 3600

    def tile(
        title: str,
        recent: Callable[[Recent], float | None],
        sums: Callable[[Sums], float | None],
        unit: str,
        explanation: str,
    ) -> Tile:
        shown = [
            ("hour", _figure(recent(hour) if felt else None, unit)),
            ("day", _figure(sums(day), unit)),
            ("week ago", _figure(sums(week), unit)),
        ]
        return Tile(title, _figure(recent(now) if felt else None, unit), shown, explanation)

    return [
        Tile(
            "Calls up",
            f"{felt.up:,}" if felt else "-",
            [
                ("hour", f"{hour.begun:,} begun"),
                ("day", f"{day.attempts:,}"),
                ("week ago", f"{week.attempts:,}"),
            ],
            "Live calls now; calls begun in the last hour, and all of the day and of the same day "
            "a week ago",
        ),
        tile(
            "Calls a second",
            lambda recent: recent.cps,
            lambda sums: sums.attempts / spread,
            "",
            "Calls begun a second",
        ),
        tile("ASR", _asr, lambda sums: sums.asr, " %", "Answered of all dialled calls"),
        tile(
            "NER",
            _ner,
            lambda sums: sums.ner,
            " %",
            "Dialled calls that the network served: answered, busy, not answered, declined",
        ),
        tile("ACD", _acd_s, lambda sums: sums.acd_s, "clock", "Mean talk of answered calls"),
        tile(
            "PDD",
            _pdd_s,
            lambda sums: _seconds(sums.pdd_ms(50)),
            " s",
            "From the dial to the first ringing: mean now and of the hour, median of the day",
        ),
    ]


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "clock":
        return clock(round(value * 1000))
    return f"{value:.2f}" if not unit and value < 10 else f"{number(value)}{unit}"


def _asr(recent: Recent) -> float | None:
    return 100 * recent.answered / recent.seizures if recent.seizures else None


def _ner(recent: Recent) -> float | None:
    return 100 * recent.effective / recent.seizures if recent.seizures else None


def _acd_s(recent: Recent) -> float | None:
    return recent.talk_ms / recent.answered / 1000 if recent.answered else None


def _pdd_s(recent: Recent) -> float | None:
    return recent.pdd_ms / recent.pdd_count / 1000 if recent.pdd_count else None


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _charts(hours: Sequence[Any], day: Sequence[Sums], week: Sequence[Sums]) -> list[Any]:
    labels = [f"{timezone.localtime(hour):%H}:00" for hour in hours]
    if not any(sums.attempts for sums in day):
        return []
    drawn = [
        (
            "Calls by hour",
            [
                Series("calls", [s.attempts for s in day], "rm-bar-quiet", bars=True),
                Series("answered", [s.answered for s in day], "rm-bar-good", bars=True),
                Series("a week ago", [s.attempts or None for s in week], "rm-line-before"),
            ],
            "",
        ),
        (
            "ASR and NER",
            [
                Series("NER", [s.ner for s in day], "rm-line-b"),
                Series("ASR", [s.asr for s in day], "rm-line-a"),
                Series("ASR a week ago", [s.asr for s in week], "rm-line-before"),
            ],
            " %",
        ),
        (
            "Post-dial delay",
            [
                Series("95 %", [_seconds(s.pdd_ms(95)) for s in day], "rm-line-b"),
                Series("median", [_seconds(s.pdd_ms(50)) for s in day], "rm-line-a"),
            ],
            " s",
        ),
    ]
    return [
        {"title": title, "legend": series, "svg": _drawn(chart(title, labels, series, unit))}
        for title, series, unit in drawn
    ]


def _drawn(svg: str) -> SafeString:
    # Labels and names are ours, and cdr.charts escapes them all the same.
    return mark_safe(svg)  # noqa: S308


# --- Trunks, limits, processes ---


def _trunks() -> list[TrunkLine]:
    trunks = list(Trunk.objects.filter(enabled=True))
    this_hour = hour_of(timezone.now())
    sums = by_key(HourlyCalls.Kind.TRUNK, this_hour - HOUR, this_hour + HOUR)
    try:
        states = trunk_states(trunk.name for trunk in trunks)
        rules = {trunk.name: rule_of(trunk.capacity, 0) for trunk in trunks if trunk.max_calls}
        used = dict(zip(rules, usage(list(rules.values())), strict=True))
    except redis.RedisError:
        states, used = {}, {}
    lines = []
    for trunk in trunks:
        trunk.state = states.get(trunk.name)  # type: ignore[attr-defined]
        count = used.get(trunk.name)
        health, colour = _health(trunk, states.get(trunk.name))
        lines.append(
            TrunkLine(
                trunk,
                health,
                colour,
                _used(trunk, count),
                100 * count.used / trunk.max_calls if count and trunk.max_calls else 0,
                sums.get(trunk.name, Sums()),
                reverse("admin:calls_trunk_change", args=[trunk.pk]),
            )
        )
    order = {"danger": 0, "warning": 1, "": 2, "success": 3}
    lines.sort(key=lambda line: (order[line.colour], -line.sums.attempts, line.trunk.name))
    return lines


def _used(trunk: Trunk, count: Usage | None) -> str:
    if not trunk.max_calls:
        return "no limit"
    return f"{count.used:,.0f} of {trunk.max_calls:,}" if count else "unknown"


def _health(trunk: Trunk, state: TrunkState | None) -> tuple[str, str]:
    if trunk.health_override != Health.AUTO:
        by_hand = Health(trunk.health_override)
        return f"{by_hand} by hand", "danger" if by_hand is Health.DOWN else ""
    if state is None:
        return "unknown", ""
    colours = {Health.UP: "success", Health.DEGRADED: "warning", Health.DOWN: "danger"}
    return state.health.value, colours.get(state.health, "")


def _healths(lines: Sequence[TrunkLine]) -> list[tuple[str, Health, TrunkState | None]]:
    return [
        (line.trunk.name, Health(line.trunk.health_override), line.trunk.state)  # type: ignore[attr-defined]
        for line in lines
    ]


def _limits() -> list[LimitUse]:
    limits = list(
        Limit.objects.filter(enabled=True)
        .select_related("account", "trunk")
        .exclude(metric=Metric.MAX_DURATION)
    )
    rules = rules_of(limits)
    try:
        counted = usage(rules)
    except redis.RedisError:
        return []
    near = []
    for limit, rule, found in zip(limits, rules, counted, strict=True):
        percent = found.percent_of(rule)
        if percent < (limit.warn_percent or NEAR_PERCENT):
            continue
        near.append(
            LimitUse(
                limit.name,
                f"{found.used:,.0f} of {limit.value:,}",
                percent,
                limit.mode == Mode.ENFORCE,
                reverse("admin:calls_limit_change", args=[limit.pk]),
            )
        )
    return sorted(near, key=lambda use: -use.percent)


def _drains() -> list[Draining]:
    try:
        return drains()
    except redis.RedisError:
        # What was felt a moment ago is shown, and the next look says that Redis is away.
        return []


def _processes(felt: Pulse) -> list[dict[str, Any]]:
    now_ms = wall_clock_ms()
    shown = [
        {
            "kind": process.kind,
            "where": f"{process.host}, {process.pid}",
            "since": moment(moment_of(process.started_ms)),
            "for": clock(max(0, now_ms - process.started_ms)),
            "note": process.note,
            "alive": True,
        }
        for process in felt.processes
    ]
    kinds = {process.kind for process in felt.processes}
    return shown + [{"kind": kind, "alive": False} for kind in NEEDED if kind not in kinds]


def _ledger(felt: Pulse | None) -> dict[str, Any]:
    """The ledger's light: what its last check found, and when that was."""
    light = felt.light if felt else None
    if light is None:
        text = "Not checked yet: the records worker does so each minute."
        return {"word": "unknown", "colour": "", "sentence": text}
    shown = {"sentence": light.sentence, "at": moment(moment_of(light.at_ms), Form.SECONDS)}
    if light.is_stale(wall_clock_ms()):
        return shown | {"word": "not checked for long", "colour": "warning"}
    if light.green:
        return shown | {"word": "balances", "colour": "success"}
    return shown | {"word": "does not balance", "colour": "danger"}
