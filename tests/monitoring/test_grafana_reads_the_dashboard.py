"""The dashboard is what Grafana's published types say one is, to the last option of a panel.

`grafana_schema.json` is made of the types in the npm package @grafana/schema, for each of

    dist/types/raw/dashboard/x/types.gen.d.ts                      Dashboard
    dist/types/raw/composable/{stat,…}/panelcfg/x/types.gen.d.ts   Options, FieldConfig

by `npx ts-json-schema-generator --no-type-check --path FILE --type TYPE`: what is not named there
is wrong.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.monitoring.files import DASHBOARD, panels

SCHEMAS = json.loads(Path(__file__).with_name("grafana_schema.json").read_text())
DASHBOARD_JSON = json.loads(DASHBOARD.read_text())
OF_ITS_PLUGIN = ("expr", "step", "titleFormat")
"""Of an annotation: read by Grafana's plugin for Prometheus, and in no published type."""


def wrong(schema: str, told: Any) -> list[str]:
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in Draft7Validator(SCHEMAS[schema]).iter_errors(told)
    ]


def known_to_its_plugin(dashboard: dict[str, Any]) -> dict[str, Any]:
    dashboard = copy.deepcopy(dashboard)
    for each in dashboard["annotations"]["list"]:
        for name in OF_ITS_PLUGIN:
            each.pop(name)
    return dashboard


def test_the_dashboard_is_one():
    assert wrong("dashboard", known_to_its_plugin(DASHBOARD_JSON)) == []


@pytest.mark.parametrize("panel", list(panels()), ids=lambda panel: panel["title"])
def test_a_panel_has_the_options_of_its_kind(panel):
    assert wrong(f"{panel['type']} options", panel["options"]) == []
    custom = panel["fieldConfig"]["defaults"].get("custom")
    if panel["type"] == "stat":
        assert custom is None
    else:
        assert wrong(f"{panel['type']} custom", custom or {}) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("panels", 1, "fieldConfig", "defaults", "thresholds", "mode"), "absolut"),
        (("panels", 1, "gridPos", "w"), "4"),
        (("panels", 1, "datasourse"), {}),
        (("templating", "list", 0, "type"), "datasources"),
        (("time", "until"), "now"),
    ],
)
def test_a_slip_is_seen(path, value):
    slipped = known_to_its_plugin(DASHBOARD_JSON)
    inner: Any = slipped
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert wrong("dashboard", slipped)


def test_a_slip_in_a_panels_options_is_seen():
    panel = next(each for each in panels() if each["type"] == "timeseries")
    legend = panel["options"]["legend"] | {"displaymode": "list"}
    assert wrong("timeseries options", panel["options"] | {"legend": legend})
