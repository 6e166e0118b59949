"""Whether trunks work, judged by what became of the attempts on them.

Every worker notes proofs in its memory and brings them to Redis once a second, so that a call
pays nothing for it. A trunk whose attempts fail too often is degraded, then down; one that is
down is skipped, but for a trial call now and then, and the first call that gets through brings it
back. calls/store/counters.py documents the keys.

What an attempt proves, calls/machine/proofs.py says.
"""

import logging
from dataclasses import dataclass
from typing import Any

import orjson

from calls.limits.rules import Health

BUCKET_MS = 10_000
BUCKETS = 6
"""The window is the last minute, in parts of ten seconds."""
LEAST = 10
"""Attempts in the window below which nothing is judged: three failures at night are no outage."""
DEGRADED = 0.3
DOWN = 0.8
"""Share of failed attempts. A carrier that sheds load fails some; one that is gone fails all."""
TRIAL_MS = 15_000
"""Time between two trial calls of a trunk that is down."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrunkState:
    """What the attempts on a trunk say. ``since_ms``: ms since the epoch; 0 for a trunk that is up.

    ``failed`` of ``attempts`` in the window had failed when the state began.
    """

    health: Health = Health.UP
    since_ms: int = 0
    failed: int = 0
    attempts: int = 0


class Proofs:
    """Proofs noted in this process and not yet in Redis, and the trunks that are not up."""

    def __init__(self) -> None:
        self.unwell: dict[str, TrunkState] = {}
        self._noted: dict[str, list[int]] = {}

    def note(self, trunk: str, works: bool) -> None:
        """Remember a proof until the next `take`."""
        self._noted.setdefault(trunk, [0, 0])[0 if works else 1] += 1

    @property
    def down(self) -> tuple[str, ...]:
        """Trunks that were down at the last look."""
        return tuple(name for name, state in self.unwell.items() if state.health is Health.DOWN)

    def take(self) -> list[dict[str, Any]]:
        """What to bring to Redis: what was noted, and who must be judged again without it."""
        noted, self._noted = self._noted, {}
        for name in self.unwell:
            noted.setdefault(name, [0, 0])
        return [{"name": name, "ok": ok, "bad": bad} for name, (ok, bad) in noted.items()]

    def put_back(self, trunks: list[dict[str, Any]]) -> None:
        """Note again what could not be brought."""
        for trunk in trunks:
            noted = self._noted.setdefault(trunk["name"], [0, 0])
            noted[0] += trunk["ok"]
            noted[1] += trunk["bad"]


def question(trunks: list[dict[str, Any]], tell: int = 0) -> bytes:
    """The argument of health.lua. ``tell``: about how many news may wait; with 0 none is told."""
    return orjson.dumps(
        {
            "trunks": trunks,
            "bucket": BUCKET_MS,
            "buckets": BUCKETS,
            "least": LEAST,
            "degraded": DEGRADED,
            "down": DOWN,
            "trial": TRIAL_MS,
            "tell": tell,
        }
    )


def states_of(flat: list[bytes]) -> dict[str, TrunkState]:
    """The states in a reply of HGETALL: name, state, name, state, …"""
    return {
        name.decode(errors="replace"): state_of(text)
        for name, text in zip(flat[::2], flat[1::2], strict=True)
    }


def state_of(text: bytes | None) -> TrunkState:
    """The state as health.lua keeps it; None is a trunk that is up, and so is what is no state:
    nobody is kept from a trunk by what cannot be read."""
    try:
        health, since_ms, failed, attempts = (text or b"").decode().split()
        return TrunkState(Health(health), int(since_ms), int(failed), int(attempts))
    except ValueError:
        return TrunkState()


def log_changes(flat: list[Any]) -> None:
    """Say in one sentence each which trunks have changed."""
    for at in range(0, len(flat), 5):
        name, before, after, failed, attempts = flat[at : at + 5]
        level = logging.INFO if after == b"up" else logging.ERROR
        logger.log(level, "%s", sentence(name.decode(), before, after, failed, attempts))


def sentence(name: str, before: bytes, after: bytes, failed: int, attempts: int) -> str:
    """What has become of a trunk."""
    failures = f"{failed} of {attempts} attempts failed in {BUCKET_MS * BUCKETS // 1000} s"
    if after == b"up":
        why = "a trial call got through" if before == b"down" else failures
        return f"Trunk {name} is up again: {why}."
    trials = f" It is skipped but for a trial call every {TRIAL_MS // 1000} s."
    return f"Trunk {name} is {after.decode()}: {failures}.{trials if after == b'down' else ''}"
