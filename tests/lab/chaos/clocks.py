"""Clocks that step: a process that runs under libfaketime has a wall clock of its own.

Only the wall clock is moved. The monotonic one stays, as it does when NTP steps a machine's clock.
"""

import time
from pathlib import Path

from tests.lab.packages import need
from tests.lab.processes import temporary_folder

STEP_S = 30
"""More than a lock, a lease or a turn lasts; far less than a clock that is plainly wrong."""
HOLD_S = 4.0
"""How long a step stays: longer than a lock is held without being renewed."""


class SteppedClock:
    """The wall clock of the processes that are started with its ``environment``."""

    def __init__(self) -> None:
        need(lambda: _library() is not None, "faketime", purpose="libfaketime")
        self._offset = temporary_folder("clock") / "offset"
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        """What a process must be started with."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    @property
    def environment_of_redis(self) -> dict[str, str]:
        """As ``environment``, for Redis: its jemalloc asks for the time before libfaketime is ready
        to tell it, so the C library's own malloc stands in front."""
        library = _library()
        libc = library.parents[1] / "libc.so.6" if library is not None else ""
        return self.environment | {"LD_PRELOAD": f"{library} {libc}"}

    def step(self, offset_s: int) -> None:
        """Be so many seconds ahead of the machine's clock from now on; negative: behind."""
        # Replaced, as it may be read at any moment.
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(f"{offset_s:+d}\n")
        fresh.replace(self._offset)

    def forth_and_back(self) -> float:
        """Ahead, behind, right again; gives the moment of the first step (`time.time`)."""
        struck = time.time()
        for offset_s in (STEP_S, -STEP_S):
            self.step(offset_s)
            time.sleep(HOLD_S)
        self.step(0)
        return struck


def _library() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
