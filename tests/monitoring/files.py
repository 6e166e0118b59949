"""The files of docs/monitoring, and what stands in them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.lab.asterisk_config import REPOSITORY

MONITORING = REPOSITORY / "docs" / "monitoring"
ALERTS = MONITORING / "alerts.yml"
DASHBOARD = MONITORING / "dashboard.json"
OURS = re.compile(r"\bringmaster_[a-z0-9_]+")


def rules() -> list[dict[str, Any]]:
    """The alert rules, in order."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def panels() -> Iterator[dict[str, Any]]:
    """The dashboard's panels that show something."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def queries() -> list[tuple[str, str]]:
    """What the dashboard asks Prometheus: panel and expression, as Grafana sends it."""
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "1m"))
        for panel in panels()
        for target in panel["targets"]
    ]
