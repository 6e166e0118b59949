"""What is told of a process from its beats and its work; each thing that is wrong is a sentence."""

from dataclasses import replace

import pytest

from ari_bridge.health import LAG_MS, OVERDUE_MS, SILENT_MS, SWITCH, THIS_MACHINE, Where, judged
from calls.store.heartbeats import Process
from calls.store.pulse import Pulse
from cdr.recent import Recent

BRIDGE = Process("bridge", "here", 1, 0, "pbx1 listens")
CALLS = Process("calls", "here", 2, 0, "0 turns")
RECORDS = Process("records", "there", 3, 0, "")
WELL = Pulse(
    up=3,
    overdue_ms=0,
    records=0,
    lag_ms=0,
    rejected=0,
    processes=(BRIDGE, CALLS, RECORDS),
    now=Recent(300),
    hour=Recent(3_600),
)
ANYWHERE = Where()


def wrong(process, felt, where=ANYWHERE):
    return [one.sentence for one in judged(process, felt, where, ["pbx1"]) if not one.well]


def with_processes(*processes):
    return replace(WELL, processes=processes)


@pytest.mark.parametrize("process", ["bridge", "calls", "records", SWITCH])
def test_a_switch_that_is_well(process):
    assert wrong(process, WELL) == []


def test_a_switch_without_webhooks_is_well_and_a_supervisor_of_them_is_told():
    assert wrong("webhooks", WELL) == ["No `webhooks` process runs."]


@pytest.mark.parametrize("kind", ["bridge", "calls", "records"])
def test_a_kind_of_which_none_runs(kind):
    left = [one for one in WELL.processes if one.kind != kind]
    assert f"No `{kind}` process runs." in wrong(kind, with_processes(*left))
    assert f"No `{kind}` process runs." in wrong(SWITCH, with_processes(*left))


@pytest.mark.parametrize("process", [CALLS, RECORDS])
def test_one_that_has_fallen_silent(process):
    silent = replace(process, silent_ms=SILENT_MS + 1)
    assert wrong(process.kind, with_processes(silent)) == [
        f"The `{process.kind}` process has been silent for 2.0 s."
    ]


def test_one_that_is_silent_beside_one_that_beats():
    silent = replace(CALLS, pid=9, silent_ms=SILENT_MS + 1)
    assert wrong("calls", with_processes(CALLS, silent)) == []
    assert wrong("calls", with_processes(CALLS, silent), Where("here", 9)) == [
        "The `calls` process with id 9 on here has been silent for 2.0 s."
    ]


def test_a_supervisor_asks_for_its_own_machine():
    assert wrong("records", WELL, Where("here")) == ["No `records` process on here runs."]
    assert wrong("records", WELL, Where("there")) == []
    assert THIS_MACHINE.host


@pytest.mark.parametrize("note", ["pbx1 connects", "pbx1 hears nothing", "pbx1 stands by", ""])
def test_a_node_that_nobody_hears(note):
    assert wrong("bridge", with_processes(replace(BRIDGE, note=note))) == [
        "Asterisk pbx1 is not heard by any ARI bridge."
    ]


def test_a_node_heard_by_another_bridge_than_the_one_that_is_asked_for():
    standing_by = Process("bridge", "there", 7, 0, "pbx1 stands by")
    assert wrong("bridge", with_processes(BRIDGE, standing_by), Where("there")) == []


def test_a_node_whose_only_listener_has_fallen_silent():
    silent = replace(BRIDGE, silent_ms=SILENT_MS + 1)
    assert "Asterisk pbx1 is not heard by any ARI bridge." in wrong(
        "bridge", with_processes(silent)
    )


def test_a_call_that_waits_for_a_worker_is_the_calls_workers_fault_alone():
    late = replace(WELL, overdue_ms=OVERDUE_MS + 2_000)
    assert wrong("calls", late) == ["A call has waited 5 s for a worker."]
    assert wrong("records", late) == wrong("bridge", late) == []


def test_records_that_wait_for_long_are_the_records_workers_fault_alone():
    late = replace(WELL, records=12, lag_ms=LAG_MS + 5_000)
    assert wrong("records", late) == ["12 call records wait for the database, the oldest for 35 s."]
    assert wrong("calls", late) == []
