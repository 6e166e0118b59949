"""A private Prometheus, from Debian's package, on a port and a folder of its own."""

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.lab.packages import need_program
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child, temporary_folder
from tests.lab.waiting import wait_for

EVERY_S = 1
"""Between two scrapes, and two looks at the rules; a scrape may take as long."""


class Prometheus:
    """Scrapes these targets (job → ``host:port``) and keeps these rules.

    ``with Prometheus({"ringmaster": "127.0.0.1:8001"}, rules) as prometheus:``
    """

    def __init__(
        self, targets: Mapping[str, str], rules: Path, *, scraped_every_s: int = EVERY_S
    ) -> None:
        self._program = need_program("prometheus", "prometheus", purpose="Prometheus")
        self._folder = temporary_folder("prometheus")
        self._url = f"http://{LOOPBACK}:{free_port()}"
        self._configuration = {
            "global": {
                "scrape_interval": f"{scraped_every_s}s",
                "evaluation_interval": f"{EVERY_S}s",
            },
            "rule_files": [str(rules)],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]}
                for job, target in targets.items()
            ],
        }
        self._child: Child | None = None

    def __enter__(self) -> "Prometheus":
        configuration = self._folder / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(self._configuration))
        child = Child(
            "Prometheus",
            [
                self._program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={self._url.removeprefix('http://')}",
                "--log.level=warn",
            ],
            self._folder / "prometheus.log",
            cwd=self._folder,
        )
        self._child = child
        wait_for(
            lambda: not child.running or self._is_ready(),
            timeout_s=20,
            failure=lambda: f"Prometheus is not ready:\n{child.log_tail()}",
        )
        assert child.running, child.log_tail()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child is not None:
            self._child.stop()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The answer to an instant query: one element for each series."""
        asked = urllib.parse.urlencode({"query": expression})
        answer = self._get(f"/api/v1/query?{asked}")
        return list(answer["data"]["result"])

    def alerts(self) -> set[str]:
        """The names of the alerts that fire now."""
        found = self._get("/api/v1/alerts")["data"]["alerts"]
        return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=1) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self._url + path, timeout=10) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found
