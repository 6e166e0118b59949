"""The figures of a bench as rows, medians, a table, an SVG and JSON. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from statistics import median
from typing import Any

from tests.lab.bench.load import ASTERISK, Run

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Row:
    """One contestant at one rate: medians over the repetitions, failures added up."""

    contestant: str
    rate: int
    runs: int
    calls: int
    failed: int
    answer_ms: Mapping[int, float]
    """Percentile → ms from the INVITE to its 200."""
    cpu_ms: Mapping[str, float]
    """Process → CPU in ms a call."""
    own_ms: float
    asterisk_ms: float
    memory_mb: Mapping[str, float]
    """Process → resident memory after the last run."""
    scripts: float
    nudges: float

    @property
    def by_asterisk(self) -> float:
        """Own CPU divided by Asterisk's: steadier than either where the machine is noisy."""
        return self.own_ms / self.asterisk_ms


def row_of(runs: Sequence[Run]) -> Row:
    """One row for the runs of one contestant at one rate."""
    first = runs[0]
    return Row(
        contestant=first.contestant,
        rate=first.rate,
        runs=len(runs),
        calls=sum(len(run.calls.seen) for run in runs),
        failed=sum(run.failed for run in runs),
        answer_ms={
            percent: round(median(run.calls.answer_percentile_ms(percent) for run in runs), 1)
            for percent in PERCENTILES
        },
        cpu_ms={name: round(median(run.cpu_ms([name]) for run in runs), 2) for name in first.own},
        own_ms=round(median(run.cpu_ms(run.own) for run in runs), 2),
        asterisk_ms=round(median(run.cpu_ms([ASTERISK]) for run in runs), 2),
        memory_mb={name: round(runs[-1].costs[name].rss_after / 1e6, 1) for name in first.own},
        scripts=round(median(run.redis_calls.get("evalsha", 0.0) for run in runs), 1),
        nudges=round(median(run.redis_calls.get("nudges", 0.0) for run in runs), 1),
    )


def highest_rate(rows: Iterable[Row], contestant: str) -> int:
    """The highest rate that it held without a failed call, with all lower ones; 0 for none."""
    highest = 0
    for row in sorted((row for row in rows if row.contestant == contestant), key=lambda r: r.rate):
        if row.failed:
            break
        highest = row.rate
    return highest


def markdown(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """The table as the README shows it."""
    lines = [
        "| | calls/s | failed | answer p50 / p90 / p99, ms | CPU a call, ms | ÷ Asterisk's "
        "| of it | scripts, nudges |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in row.cpu_ms.items())
        answer = " / ".join(f"{row.answer_ms[percent]:.0f}" for percent in PERCENTILES)
        counted = f"{row.scripts:.1f}, {row.nudges:.1f}" if row.scripts else "-"
        lines.append(
            f"| {row.contestant} | {row.rate} | {row.failed} of {row.calls} | {answer} "
            f"| {row.own_ms:.1f} | {row.by_asterisk:.2f} "
            f"| {parts if len(row.cpu_ms) > 1 else '-'} | {counted} |"
        )
    return "\n".join([*lines, "", *(f"* {note}" for note in notes), ""])


def as_json(rows: Sequence[Row], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, for programs: facts of the run and one object a row."""
    return {**facts, "rows": [{**asdict(row), "by_asterisk": row.by_asterisk} for row in rows]}


# --- The drawing ---

_WIDTH, _BAR, _GAP, _LEFT = 760, 18, 8, 210
_COLOURS = ("#7a869a", "#4c6ef5", "#e8590c", "#2f9e44", "#9c36b5", "#f08c00")


def svg(rows: Sequence[Row]) -> str:
    """CPU a call as bars, each process its part; readable on light and dark."""
    widest = max((row.own_ms for row in rows), default=1.0)
    scale = (_WIDTH - _LEFT - 80) / widest
    height = (len(rows) + 1) * (_BAR + _GAP) + 30
    names = list(dict.fromkeys(name for row in rows for name in row.cpu_ms))
    colours = dict(zip(names, _COLOURS, strict=False))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img">',
        "<title>CPU in ms a call</title>",
        "<style>text{fill:#495057}@media(prefers-color-scheme:dark){text{fill:#ced4da}}</style>",
    ]
    for index, row in enumerate(rows):
        y = index * (_BAR + _GAP) + 6
        parts.append(f'<text x="4" y="{y + 13}">{escape(row.contestant)}, {row.rate}/s</text>')
        x = float(_LEFT)
        for name, ms in row.cpu_ms.items():
            width = ms * scale
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" '
                f'fill="{colours[name]}"><title>{escape(name)} {ms:.2f} ms</title></rect>'
            )
            x += width
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 13}">{row.own_ms:.1f} ms</text>')
    x = float(_LEFT)
    y = height - 22
    for name in names:
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colours[name]}"/>')
        parts.append(f'<text x="{x + 14}" y="{y + 10}">{escape(name)}</text>')
        x += 30 + 7 * len(name)
    return "\n".join([*parts, "</svg>", ""])
