"""Draining: something takes no new calls, those that are up come to their end, and it is said how
many are left.

    drain(Kind.NODE, "pbx1", by="alice", why="new kernel")
    drains()                    # → what is drained, each with the calls that are left
    end_drain(Kind.NODE, "pbx1")

A *node*, or the whole *switch*: new calls are refused with cause 42 (SIP 503), so that whoever sent
them tries another node; each has its record. A *trunk* is skipped, and the call goes to the next
one. A *worker* takes no new turns; its calls go on, as they live in Redis and any other worker
attends to them. So a worker has nothing to wait for but the turns that it is in.

Not for use on an event loop.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from calls.clock import wall_clock_ms
from calls.errors import CallError
from calls.models import Drain, Trunk
from calls.store import config_version
from calls.store import drains as store
from calls.store.heartbeats import Process, alive
from calls.store.overview import Kept, live_ids, look
from cdr.moments import moment_of


class CannotDrain(CallError):
    """There is no such thing, or draining it would leave nobody to do its work."""


class NotThere(CannotDrain):
    """There is no node, trunk or worker of this name."""


class Kind(StrEnum):
    """What can be drained."""

    SWITCH = "switch"
    NODE = "node"
    TRUNK = "trunk"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Draining:
    """Something that is drained. ``left`` are its calls that are up, a worker's turns."""

    kind: Kind
    name: str
    by: str
    why: str
    since: datetime
    left: int

    @property
    def label(self) -> str:
        """As in a sentence: ``node pbx1``, ``the switch``."""
        return f"{self.kind} {self.name}" if self.name else "the switch"

    @property
    def words(self) -> str:
        """How it stands, as a sentence."""
        what = "turn" if self.kind is Kind.WORKER else "call"
        left = f"{self.left:,} {what}{'' if self.left == 1 else 's'} left" if self.left else "empty"
        who = f" by {self.by}" if self.by else ""
        why = f" ({self.why})" if self.why else ""
        since = f"{self.since:%Y-%m-%d %H:%M} UTC"
        return f"{self.label} has been drained{who} since {since}{why}: {left}."


def drain(kind: Kind, name: str = "", *, by: str, why: str = "") -> None:
    """Take no new calls there from now on; what is drained already stays as it is.

    ``name`` is a node's in ARI_NODES, a trunk's, or a worker's ``host:pid``. Raises CannotDrain,
    django.db.Error, or redis.RedisError.
    """
    why = why.strip()[:200]
    if kind is Kind.WORKER:
        _drain_worker(name, by, why)
        return
    row = Drain(kind=kind.value, why=why, by=by[:150])
    if kind is Kind.NODE:
        row.node = _known_node(name)
    elif kind is Kind.TRUNK:
        row.trunk = _known_trunk(name)
    with transaction.atomic():
        if not _rows(kind, name).exists():
            row.save()
            return
    # Perhaps it is asked for again because workers could not be told the first time.
    config_version.bump()


def end_drain(kind: Kind, name: str = "") -> bool:
    """Take new calls again; whether it was drained. Raises django.db.Error or redis.RedisError."""
    if kind is Kind.WORKER:
        return store.end_drain_of_worker(name)
    rows = list(_rows(kind, name))
    for row in rows:
        # One by one: what deletes rows in bulk tells neither workers nor the audit log.
        row.delete()
    return bool(rows)


def drains() -> list[Draining]:
    """All that is drained now, each with what is left. Raises django.db.Error, redis.RedisError."""
    rows = list(Drain.objects.select_related("trunk"))
    left = left_of(rows)
    found = [
        Draining(Kind(row.kind), row.name, row.by, row.why, row.since, left[row.pk]) for row in rows
    ]
    workers = {_name_of(each): each for each in alive() if each.kind == "calls"}
    for name, asked in store.drained_workers(list(workers)).items():
        since = moment_of(asked.since_ms, UTC)
        turns = _turns(workers[name])
        found.append(Draining(Kind.WORKER, name, asked.by, asked.why, since, turns))
    return found


def left_of(rows: Sequence[Drain]) -> dict[int, int]:
    """How many calls are up of each of these, by the row's key. Raises redis.RedisError."""
    if not rows:
        return {}
    trunks = {row.name for row in rows if row.kind == Drain.Kind.TRUNK}
    # Sessions are megabytes at thousands of calls; names are not.
    kept = look() if trunks else []
    calls = [each.call for each in kept] if trunks else live_ids()
    on_trunks = [_trunks_of(each) for each in kept]
    left = {}
    for row in rows:
        if row.kind == Drain.Kind.TRUNK:
            left[row.pk] = sum(row.name in each for each in on_trunks)
        elif row.kind == Drain.Kind.NODE:
            left[row.pk] = sum(call.partition(":")[0] == row.node for call in calls)
        else:
            left[row.pk] = len(calls)
    return left


def _trunks_of(kept: Kept) -> set[str]:
    """The trunk that a call is on, and those on which it may still be tried."""
    if not kept.session:
        return set()
    plain = orjson.loads(kept.session)
    to_come: Iterable[str] = (
        target["trunk"] for target in plain.get("targets") or () if not target.get("skipped")
    )
    answered = plain.get("answered_ms") is not None
    legs = plain.get("legs") or ()
    present = {legs[-1].get("trunk", "")} if legs else set()
    return present if answered else present | set(to_come)


def _rows(kind: Kind, name: str) -> QuerySet[Drain]:
    rows = Drain.objects.filter(kind=kind.value)
    if kind is Kind.NODE:
        return rows.filter(node=name)
    return rows.filter(trunk__name=name) if kind is Kind.TRUNK else rows


def _known_node(name: str) -> str:
    if name not in settings.ARI_NODES:
        known = ", ".join(settings.ARI_NODES) or "no node at all"
        raise NotThere(f"There is no node {name[:64]!r} in ARI_NODES here, which names {known}.")
    return name


def _known_trunk(name: str) -> Trunk:
    trunk = Trunk.objects.filter(name=name).first()
    if trunk is None:
        raise NotThere(f"There is no trunk {name[:64]!r}.")
    return trunk


def _drain_worker(name: str, by: str, why: str) -> None:
    workers = [_name_of(each) for each in alive() if each.kind == "calls"]
    if name not in workers:
        known = ", ".join(workers) or "none at all"
        raise NotThere(f"There is no calls worker {name[:80]!r}; those that live: {known}.")
    others = set(workers) - {name} - set(store.drained_workers(workers))
    if not others:
        raise CannotDrain(
            f"Worker {name} is the only one that attends to calls: without it those that are up "
            "would be left alone. Start another one first, or drain the switch."
        )
    store.drain_worker(name, store.WorkerDrain(by, why, wall_clock_ms()))


def _name_of(process: Process) -> str:
    return f"{process.host}:{process.pid}"


def _turns(process: Process) -> int:
    """The turns that a worker says it is in."""
    number = process.note.rpartition(" turn")[0].rpartition(" ")[2]
    return int(number) if number.isdecimal() else 0
