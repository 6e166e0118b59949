"""The live calls on a terminal: what its keys do, and how it looks. Pure.

Nothing is hung up before it is confirmed, and what is confirmed are the calls that were named.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group
from rich.table import Table
from rich.text import Text

from calls.engine.live import LiveCall, LiveState
from calls.text import printable

KEYS = "↑↓ choose · space tick · h hang up · a all of its account · q quit"
STYLES = {
    LiveState.RINGING: "yellow",
    LiveState.EARLY_MEDIA: "yellow",
    LiveState.TALKING: "green",
    LiveState.ENDING: "dim",
}


@dataclass
class Screen:
    """What is chosen, ticked and asked on the screen."""

    calls: Sequence[LiveCall] = ()
    at: int = 0
    ticked: set[str] = field(default_factory=set)
    asked: tuple[str, ...] = ()
    """Calls that are to be hung up if the answer is yes."""
    question: str = ""
    told: str = ""
    quits: bool = False

    def show(self, calls: Sequence[LiveCall]) -> None:
        """These are the calls that are up now; what is chosen stays chosen."""
        chosen = self.chosen
        self.calls = calls
        ids = [call.call_id for call in calls]
        self.ticked &= set(ids)
        if chosen is not None and chosen.call_id in ids:
            self.at = ids.index(chosen.call_id)
        self.at = min(self.at, max(0, len(calls) - 1))

    @property
    def chosen(self) -> LiveCall | None:
        """The call under the cursor."""
        return self.calls[self.at] if self.at < len(self.calls) else None

    def press(self, key: str) -> tuple[str, ...]:
        """Take a key; returns the calls to hang up now, none but after a yes."""
        if self.asked:
            asked, self.asked, self.question = self.asked, (), ""
            if key == "y":
                self.ticked.clear()
                return asked
            self.told = "Nothing was hung up."
            return ()
        self.told = ""
        chosen = self.chosen
        if key == "q":
            self.quits = True
        elif key in ("up", "k"):
            self.at = max(0, self.at - 1)
        elif key in ("down", "j"):
            self.at = min(max(0, len(self.calls) - 1), self.at + 1)
        elif chosen is None:
            return ()
        elif key == " ":
            self.ticked ^= {chosen.call_id}
        elif key == "h":
            calls = [call.call_id for call in self.calls if call.call_id in self.ticked]
            self._ask(tuple(calls) or (chosen.call_id,), "")
        elif key == "a" and chosen.account:
            of_it = [call.call_id for call in self.calls if call.account == chosen.account]
            self._ask(tuple(of_it), f" of account {chosen.account}")
        return ()

    def _ask(self, calls: tuple[str, ...], of_whom: str) -> None:
        self.asked = calls
        what = calls[0] if len(calls) == 1 else f"{len(calls):,} calls{of_whom}"
        self.question = f"Hang up {printable(what)}? y / n"

    def draw(self, now_ms: int, height: int) -> Group:
        """The screen, ``height`` lines high; ``now_ms`` is the present, ms since the epoch."""
        room = max(1, height - 6)
        first = max(0, min(self.at - room // 2, len(self.calls) - room))
        shown = table(self.calls[first : first + room], now_ms)
        for row, call in enumerate(self.calls[first : first + room]):
            marks = [
                *(["reverse"] if first + row == self.at else []),
                *(["bold"] if call.call_id in self.ticked else []),
            ]
            shown.rows[row].style = " ".join(marks)
        count = len(self.calls)
        total = "1 live call" if count == 1 else f"{count:,} live calls"
        ticked = f", {len(self.ticked)} ticked" if self.ticked else ""
        below = self.question or self.told or KEYS
        style = "bold red" if self.question else "dim"
        return Group(shown, Text(f"{total}{ticked}"), Text(below, style=style))


def table(calls: Sequence[LiveCall], now_ms: int) -> Table:
    """The calls as a table; ``now_ms`` is the present, in milliseconds since the Unix epoch."""
    shown = Table()
    for heading in ("call", "account", "caller", "callee", "trunk", "state"):
        shown.add_column(heading, overflow="fold")
    shown.add_column("for", justify="right")
    for call in calls:
        shown.add_row(
            Text(printable(call.call_id)),
            Text(call.account),
            Text(printable(call.caller)),
            Text(printable(call.callee)),
            Text(call.trunk),
            Text(call.state, style=STYLES.get(call.state, "")),
            f"{max(0, now_ms - call.since_ms) // 1000} s",
        )
    return shown
