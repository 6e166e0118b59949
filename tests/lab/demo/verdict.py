"""Whether every call of the demo has exactly the record it should have. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.lab.demo.scenario import DemoCall


class Record(Protocol):
    """What is looked at of a call record (cdr.models.Cdr)."""

    call_id: str
    caller_received: str
    callee_received: str
    trunk: str
    disposition: str
    ended_by: str
    sip_code: int | None
    q850_cause: int | None
    talk_ms: int
    reason: str
    integrity: str


@dataclass(frozen=True)
class Judged:
    """One call, its record where there is exactly one, and what is wrong with it."""

    call: DemoCall
    record: Record | None
    faults: tuple[str, ...]


def judge(
    calls: Sequence[DemoCall],
    records: Iterable[Record],
    heard: Mapping[DemoCall, int | None],
) -> tuple[list[Judged], list[str]]:
    """Every call with its faults, and the faults that belong to none of them.

    ``records``: all call records of this run, in any order; ``heard``: the final SIP code that
    each caller got, None for none.
    """
    by_call: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        by_call.setdefault((record.caller_received, record.callee_received), []).append(record)
    judged = []
    for call in calls:
        found = by_call.pop((call.user, call.number), [])
        faults = [*_heard_faults(call, heard.get(call)), *_record_faults(call, found)]
        judged.append(Judged(call, found[0] if len(found) == 1 else None, tuple(faults)))
    extra = [
        f"The record {record.call_id} (from {record.caller_received!r} to "
        f"{record.callee_received!r}) belongs to no call that was placed."
        for found in by_call.values()
        for record in found
    ]
    return judged, extra


def _heard_faults(call: DemoCall, heard: int | None) -> list[str]:
    if heard == call.heard:
        return []
    return [f"the caller heard {heard or 'no final code'} instead of {call.heard}"]


def _record_faults(call: DemoCall, found: Sequence[Record]) -> list[str]:
    if len(found) != 1:
        return [f"it has {len(found)} call records instead of one" if found else "it has no record"]
    record = found[0]
    faults = [
        f"{name} is {getattr(record, name)!r} instead of {getattr(call, name)!r}"
        for name in ("disposition", "ended_by", "sip_code", "trunk")
        if getattr(record, name) != getattr(call, name)
    ]
    if (record.talk_ms > 0) != (call.disposition == "answered"):
        faults.append(f"its talk time is {record.talk_ms} ms")
    if record.integrity != "complete":
        faults.append(f"its record is {record.integrity}, so events were missed")
    return faults
