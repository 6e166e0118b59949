"""Alerts and dashboard name metrics that there are; every fault of the chaos table is told of."""

import json
import re

import pytest

import ari_bridge.metrics
import calls.metrics
from calls.store.exporter import GAUGES
from cdr.metrics import DECLARED
from tests.lab.asterisk_config import REPOSITORY
from tests.monitoring.files import DASHBOARD, MONITORING, OURS, panels, queries, rules

SUFFIXES = ("", "_bucket", "_sum", "_count")


def declared() -> set[str]:
    assert ari_bridge.metrics
    assert calls.metrics
    named = {each.name for each in GAUGES.values()}
    for each in DECLARED:
        endings = SUFFIXES[1:] if each.kind == "histogram" else ("",)
        named |= {each.name + ending for ending in endings}
    return named


def test_alerts_ask_for_what_there_is():
    asked = {name for rule in rules() for name in OURS.findall(rule["expr"])}
    assert asked <= declared()


def test_the_dashboard_asks_for_what_there_is_and_leaves_nothing_out():
    asked = {name for _, query in queries() for name in OURS.findall(query)}
    assert asked <= declared()
    shown = {name for name in declared() if name in asked}
    histograms = {each.name for each in DECLARED if each.kind == "histogram"}
    missing = {
        name
        for name in declared() - shown
        if not any(name.startswith(histogram) for histogram in histograms)
    }
    assert missing == set()
    assert all(any(name.startswith(each) for name in asked) for each in histograms)


def test_every_panel_says_what_it_shows_and_none_covers_another():
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith(".")
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    identifiers = [each["id"] for each in json.loads(DASHBOARD.read_text())["panels"]]
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("title", ["What answers", "Ledger", "Processes alive", "Nodes"])
def test_what_is_away_is_not_green(title):
    (panel,) = [each for each in panels() if each["title"] == title]
    told = panel["fieldConfig"]["defaults"]
    at_zero = [step["color"] for step in told["thresholds"]["steps"] if not step["value"]]
    for mapping in told.get("mappings", ()):
        at_zero.append(mapping["options"]["0"]["color"])
    assert at_zero[-1] == "red"


def test_every_fault_of_the_chaos_table_is_told_whom_it_calls():
    chaos = (REPOSITORY / "docs" / "chaos.md").read_text()
    faults = set(re.findall(r"^\| ([^|]+?) \| \d+ \|", chaos, re.M))
    readme = (MONITORING / "README.md").read_text()
    told = dict(re.findall(r"^\| ([^|]+?) \| ([^\n]+) \|$", readme, re.M))
    assert len(faults) > 20
    assert faults <= set(told)
    names = {rule["alert"] for rule in rules()}
    for fault in faults:
        assert set(re.findall(r"Ringmaster\w+", told[fault])) <= names
        assert "Ringmaster" in told[fault].partition(" | ")[2], f"{fault}: nobody is ever called"


def test_every_alert_is_explained():
    readme = (MONITORING / "README.md").read_text()
    assert {rule["alert"] for rule in rules()} == set(re.findall(r"\bRingmaster[A-Z]\w+", readme))
