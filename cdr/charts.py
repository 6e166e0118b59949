"""Charts as SVG, drawn on the server: no script, no library, sharp in print. Pure.

Colours are classes of calls/static/ringmaster/admin.css, so that a chart follows light and dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

WIDTH, HEIGHT = 340, 150
LEFT, RIGHT, TOP, BOTTOM = 40, 6, 8, 20
LABELS = 6
"""Labels below the axis, at most."""


@dataclass(frozen=True, slots=True)
class Series:
    """One row of values, None where nothing was measured; ``style`` is a CSS class."""

    name: str
    values: Sequence[float | None]
    style: str
    bars: bool = False


def chart(title: str, labels: Sequence[str], series: Sequence[Series], unit: str = "") -> str:
    """Series over the same labels, bars behind lines. ``unit`` follows each value that is told."""
    top = nice_top(max((v for each in series for v in each.values if v is not None), default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    parts = [
        f'<svg class="rm-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f"aria-label={quoteattr(title)}>",
        *_grid(top, unit),
        *_labels(labels, step),
    ]
    for each in series:
        parts += _bars(each, top, step) if each.bars else _line(each, top, step)
    parts += _tips(labels, series, step, unit)
    return "".join([*parts, "</svg>"])


def nice_top(most: float) -> float:
    """The end of an axis: the next 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1
    power = 1.0
    while power * 10 <= most:
        power *= 10
    while power > most:
        power /= 10
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= most)


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)


def _grid(top: float, unit: str) -> list[str]:
    parts = []
    for share in (0, 0.5, 1):
        y = _y(top * share, top)
        parts.append(
            f'<line class="rm-grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="rm-axis" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">'
            f"{number(top * share)}{escape(unit)}</text>"
        )
    return parts


def _labels(labels: Sequence[str], step: float) -> list[str]:
    every = max(1, -(-len(labels) // LABELS))
    return [
        f'<text class="rm-axis" x="{LEFT + step * (at + 0.5):.1f}" y="{HEIGHT - 6}" '
        f'text-anchor="middle">{escape(label)}</text>'
        for at, label in enumerate(labels)
        if at % every == 0
    ]


def _bars(series: Series, top: float, step: float) -> list[str]:
    return [
        f'<rect class="{series.style}" x="{LEFT + step * (at + 0.15):.1f}" '
        f'y="{_y(value, top):.1f}" width="{step * 0.7:.1f}" '
        f'height="{_y(0, top) - _y(value, top):.1f}"/>'
        for at, value in enumerate(series.values)
        if value
    ]


def _line(series: Series, top: float, step: float) -> list[str]:
    parts, points = [], []
    for at, value in enumerate([*series.values, None]):
        if value is not None:
            points.append(f"{LEFT + step * (at + 0.5):.1f},{_y(value, top):.1f}")
            continue
        if len(points) == 1:
            x, y = points[0].split(",")
            parts.append(f'<circle class="{series.style} rm-dot" cx="{x}" cy="{y}" r="2"/>')
        elif points:
            parts.append(f'<polyline class="{series.style}" points="{" ".join(points)}"/>')
        points = []
    return parts


def _tips(labels: Sequence[str], series: Sequence[Series], step: float, unit: str) -> list[str]:
    """What each place says on hover, whatever is drawn there."""
    return [
        f'<rect class="rm-tip" x="{LEFT + step * at:.1f}" y="{TOP}" width="{step:.1f}" '
        f'height="{HEIGHT - TOP - BOTTOM}"><title>{escape(label)}: '
        + escape(
            ", ".join(
                f"{each.name} {'-' if each.values[at] is None else number(each.values[at])}{unit}"
                for each in series
            )
        )
        + "</title></rect>"
        for at, label in enumerate(labels)
    ]


def number(value: float | None) -> str:
    """A number for an axis or a tile: no more digits than say something."""
    if value is None:
        return "-"
    if value and abs(value) < 10 and value != int(value):
        return f"{value:.1f}"
    return f"{value:,.0f}"
