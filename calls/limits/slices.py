"""How minutes of talk are shared out among calls that are up at the same time. Pure.

A call that its minutes limit does not simply get what is left of them: two hundred calls would
each get all of it. It gets a slice, spent in advance, and asks for the next one before that ends;
what it did not talk is given back when it is over. So no more is ever talked than was spent in
advance, whoever dies, and a call of which nobody knows any more has spent one slice at most.
"""

MOST_MS = 60_000
"""The longest slice: each costs a round trip and two requests to Asterisk."""
LEAST_MS = 20_000
"""The shortest, so that a worker's death cuts no call; the last of a window may be shorter."""
SHARE = 10
"""A slice is this part of what is left, between the two: near the end more calls get one."""
MARGIN_MS = 15_000
"""How long before the end of its slice a call asks for the next one, but not before its middle:
time enough for another worker when one dies, and for a limits Redis that is away for a moment."""
AGAIN_MS = 1_000
"""How soon it asks again when nobody answered."""
GRACE_S = 3
"""Asterisk ends the channels so long after their slice, should none of us be there to do it."""


def asks_ms(end_ms: int, slice_s: int) -> int:
    """When the next slice is asked for, if the present one ends then and is so long."""
    return end_ms - min(MARGIN_MS, slice_s * 500)
