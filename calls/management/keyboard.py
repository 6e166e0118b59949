"""Single keys from a terminal."""

import os
import select
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

ARROWS = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down"}


@contextmanager
def keys_of(terminal: int) -> Iterator[None]:
    """Let the terminal give each key at once and without an echo, while inside."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def key(terminal: int, timeout_s: float) -> str:
    """The next key (``up``, ``down`` or what it writes); '' where none comes in time."""
    ready, _, _ = select.select([terminal], [], [], timeout_s)
    if not ready:
        return ""
    pressed = os.read(terminal, 8)
    if not pressed:
        return "q"
    return ARROWS.get(pressed, pressed[:1].decode("ascii", "replace"))
