"""Which processes are alive: each says so every second, while it does its work.

Keys (in REDIS_URL); this module alone writes them:

``ringmaster:process:<kind>:<host>:<process id>``
    JSON: ``started_ms`` since the epoch, ``note`` what there is to say of it. Lapses after
    `LAPSE_MS`. The kinds are those of the Procfile: ``bridge``, ``calls``, ``records``. How old
    a beat is tells the time that its key has left, by Redis' clock alone

With every fifth beat it hands over what it counts (calls/store/handover.py).

A process beats from a thread of its own, but only while the loop that does its work gives signs of
life: one that hangs falls silent like one that is dead.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import redis
from django.conf import settings

from calls.clock import wall_clock_ms
from calls.store.handover import HAND_OVER_S, hand_over
from calls.store.impatient import impatient_client, impatient_redis

BEAT_S = 1.0
LAPSE_MS = 7_000
"""Until then a process is listed: it may only be slow."""
SILENT_S = 5.0
"""A loop that gave no sign for so long hangs."""
LATE_MS = 3_000
"""A process that has not beaten for so long is not relied on, though it is listed still."""
PREFIX = "ringmaster:process:"
_LISTENS = " listens"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """A process that is alive."""

    kind: str
    host: str
    pid: int
    started_ms: int
    note: str
    silent_ms: int = 0
    """For how long it has not said that it is alive."""


class Heart:
    """One process's heart. `sign` is called by the loop that does its work, once a second or so."""

    def __init__(
        self,
        kind: str,
        note: Callable[[], str] = lambda: "",
    ) -> None:
        """``note`` says in a few words what the process does, from the heart's thread."""
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._key = f"{PREFIX}{kind}:{self.name}"
        self._note = note
        self._kind = kind
        self._client: redis.Redis | None = None
        self._handed_over_s = float("-inf")
        self._started_ms = wall_clock_ms()
        self._signed = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def sign(self) -> None:
        """The loop is alive."""
        self._signed = time.monotonic()

    def stop(self) -> None:
        """Fall silent at once."""
        self._stop.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if time.monotonic() - self._signed < SILENT_S:
                    self._tell(self._beat)
                self._stop.wait(BEAT_S)
            self._tell(self._last_beat)
        finally:
            self._disconnect()

    def _beat(self, client: "redis.Redis") -> None:
        client.set(self._key, self._text(), px=LAPSE_MS)
        if time.monotonic() - self._handed_over_s >= HAND_OVER_S:
            hand_over(client, self._kind, self.name)
            self._handed_over_s = time.monotonic()

    def _last_beat(self, client: "redis.Redis") -> None:
        client.delete(self._key)
        hand_over(client, self._kind, self.name)

    def _text(self) -> bytes:
        return orjson.dumps({"started_ms": self._started_ms, "note": self._note()})

    def _tell(self, what: Callable[["redis.Redis"], Any]) -> None:
        try:
            if self._client is None:
                self._client = impatient_client(settings.REDIS_URL)
            what(self._client)
        except redis.RedisError:
            self._disconnect()
            # Those who need Redis for their work say loudly enough that it is away.
            logger.debug("No heartbeat: Redis (REDIS_URL) does not answer.", exc_info=True)

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def alive() -> list[Process]:
    """The processes that are alive. Raises redis.RedisError."""
    with impatient_redis(settings.REDIS_URL) as client:
        return processes(client)


def heard_nodes(found: Iterable[Process]) -> set[str]:
    """The nodes that are heard, by what the ARI bridges among these processes say of themselves."""
    notes = [each.note for each in found if each.kind == "bridge" and each.silent_ms <= LATE_MS]
    told = ", ".join(notes).split(", ")
    return {note.removesuffix(_LISTENS) for note in told if note.endswith(_LISTENS)}


def processes(client: "redis.Redis") -> list[Process]:
    """As `alive`, by this client."""
    keys = sorted(client.scan_iter(match=f"{PREFIX}*", count=1_000))
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.get(key)
            pipeline.pttl(key)
        told: list[Any] = pipeline.execute() if keys else []
    return sorted(
        found
        for key, text, left_ms in zip(keys, told[::2], told[1::2], strict=True)
        if text and (found := _process(key.decode(errors="replace"), text, left_ms)) is not None
    )


def _process(key: str, text: bytes, left_ms: int) -> Process | None:
    """What a beat says; None for one that another version writes otherwise."""
    try:
        kind, host, pid = key.removeprefix(PREFIX).split(":")
        plain = orjson.loads(text)
        silent_ms = max(0, LAPSE_MS - left_ms) if left_ms >= 0 else 0
        told = int(plain["started_ms"]), str(plain["note"])
        return Process(kind, host, int(pid), *told, silent_ms)
    except (ValueError, KeyError, TypeError):
        return None
