"""The clocks of the shell. Everything pure is told the time instead of asking for it."""

import time

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def wall_clock_ms() -> int:
    """Milliseconds since the Unix epoch. May be wrong, and may go back."""
    return time.time_ns() // 1_000_000


def steady_s() -> float:
    """Seconds that never go back, from an arbitrary begin.

    They go on while the process is stopped, and while the machine or its VM is suspended, which
    the clock of the event loop does not.
    """
    return time.clock_gettime(_STEADY)
