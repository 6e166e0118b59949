"""The ladder of a tale: a picture in SVG, made of text only. Nothing in it runs, loads or styles
itself; colours come from the page (calls/static/ringmaster/story.css)."""

from collections.abc import Sequence
from html import escape

from calls.story.tale import Item, Kind, Tale
from calls.text import printable

TIME_W = 84
EDGE = 80
"""Room on both sides of the outer lines."""
OVERHANG = 40
"""How far the words over an arrow may go past its ends: nothing else stands in their row."""
COLUMN_W = (190, 320)
"""Between two lines, at least and at most; in between as many as fit into `PAGE_W`."""
PAGE_W = 1044
"""What a laptop's page has room for beside the admin's side bar."""
HEAD_H = 44
ROW_H = 30
CHAR_W = 6.3
"""Mean width of a character at the font size of the page's style, 11.5 px."""
MOST_ITEMS = 400
"""Items in one picture; a call that doubted for hours has more, and the list below it has all."""


def ladder(tale: Tale, zoom: int = 100, chosen: int = 0) -> str:
    """The picture. ``zoom`` is in percent; the item of decision ``chosen`` is marked."""
    items = tale.items[:MOST_ITEMS]
    width = TIME_W + 2 * EDGE + _column_w(tale.lines) * (len(tale.lines) - 1)
    height = HEAD_H + ROW_H * (len(items) + 1)
    return "\n".join(
        (
            f'<svg class="rm-ladder" viewBox="0 0 {width} {height}" width="{width * zoom // 100}" '
            f'height="{height * zoom // 100}" role="img" aria-label="Ladder of the call">',
            _ARROW_HEADS,
            *_lines(tale.lines, height),
            *(
                _row(tale, item, HEAD_H + ROW_H * (row + 1), item.decision == chosen != 0)
                for row, item in enumerate(items)
            ),
            "</svg>",
        )
    )


_ARROW_HEADS = (
    "<defs>"
    + "".join(
        f'<marker id="rm-head-{name}" class="rm-head-{name}" viewBox="0 0 8 8" refX="8" refY="4" '
        'markerWidth="8" markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z"/></marker>'
        for name in (Kind.SIP, Kind.EVENT, Kind.COMMAND, "bad")
    )
    + "</defs>"
)


def _column_w(lines: Sequence[str]) -> int:
    least, most = COLUMN_W
    fitting = (PAGE_W - TIME_W - 2 * EDGE) // max(1, len(lines) - 1)
    return max(least, min(most, fitting))


def _x(lines: Sequence[str], name: str) -> int:
    return TIME_W + EDGE + _column_w(lines) * (lines.index(name) if name in lines else 1)


def _lines(lines: Sequence[str], height: int) -> list[str]:
    drawn = []
    for name in lines:
        x = _x(lines, name)
        drawn.append(
            f'<line class="rm-life" x1="{x}" x2="{x}" y1="{HEAD_H - 10}" y2="{height - 8}"/>'
        )
        drawn.append(
            f'<text class="rm-who" x="{x}" y="22" text-anchor="middle">'
            f"{_fitting(name, _column_w(lines) - 12)}{_title(name)}</text>"
        )
    return drawn


def _row(tale: Tale, item: Item, y: int, chosen: bool) -> str:
    if item.kind is Kind.GAP:
        return _gap(tale, item, y)
    time = f'<text class="rm-time" x="{TIME_W - 10}" y="{y + 4}" text-anchor="end">'
    time += f"+{(item.at_ms - tale.started_ms) / 1000:.3f}</text>"
    drawn = _arrow(tale, item, y) if item.target else _note(tale, item, y)
    text = " ".join(part for part in (item.text, item.detail.partition("\n")[0]) if part)
    inner = f"{_title(text)}{time}{drawn}"
    wide = TIME_W + 2 * EDGE + _column_w(tale.lines) * (len(tale.lines) - 1)
    # The whole row is what a click or a finger finds.
    row = f'<rect class="{"rm-chosen" if chosen else "rm-row"}" x="0" y="{y - 19}" '
    row += f'width="{wide}" height="{ROW_H - 2}"/>'
    classes = f"rm-item rm-{item.kind}" + (" rm-wrong" if item.bad else "")
    if item.decision:
        inner = f'<a href="?step={item.decision}#debugger">{row}{inner}</a>'
    return f'<g class="{classes}">{inner}</g>'


def _arrow(tale: Tale, item: Item, y: int) -> str:
    start, end = _x(tale.lines, item.source), _x(tale.lines, item.target)
    room = abs(end - start) + 2 * OVERHANG
    middle = (start + end) / 2
    head = "bad" if item.bad else item.kind
    return (
        f'<line class="rm-arrow" x1="{start}" x2="{end}" y1="{y}" y2="{y}" '
        f'marker-end="url(#rm-head-{head})"/>'
        f'<text class="rm-said" x="{middle:g}" y="{y - 5}" text-anchor="middle">'
        f"{_fitting(item.text, room)}</text>"
    )


def _note(tale: Tale, item: Item, y: int) -> str:
    x: float = _x(tale.lines, item.source)
    wide = TIME_W + 2 * EDGE + _column_w(tale.lines) * (len(tale.lines) - 1)
    text = _fitting(item.text, wide - TIME_W - 30)
    width = max(60.0, CHAR_W * len(text) + 18)
    # Nothing of it is cut off where its line is the first or the last one.
    x = min(max(x, TIME_W + width / 2 + 4), wide - width / 2 - 4)
    return (
        f'<rect class="rm-box" x="{x - width / 2:g}" y="{y - 14}" width="{width:g}" height="22" '
        f'rx="5"/><text class="rm-said" x="{x:g}" y="{y + 1}" text-anchor="middle">{text}</text>'
    )


def _gap(tale: Tale, item: Item, y: int) -> str:
    x = _x(tale.lines, tale.lines[len(tale.lines) // 2])
    return (
        f'<g class="rm-item rm-gap"><text class="rm-time" x="{TIME_W - 10}" y="{y + 4}" '
        f'text-anchor="end">⋮</text><text class="rm-said" x="{x}" y="{y + 1}" '
        f'text-anchor="middle">{escape(item.text)}</text></g>'
    )


def _fitting(text: str, room: float) -> str:
    text, most = printable(text), max(4, int(room / CHAR_W))
    return escape(text if len(text) <= most else text[: most - 1] + "…")


def _title(text: str) -> str:
    return f"<title>{escape(printable(text))}</title>"
