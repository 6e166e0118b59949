"""docs/metrics.md is what the code declares, and its lines for Prometheus are ones it takes."""

import re
import subprocess
from pathlib import Path

from django.conf import settings

from project.metrics_page import page
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.packages import need_program


def test_the_page_is_as_the_code_declares():
    written = (Path(settings.BASE_DIR) / "docs" / "metrics.md").read_text()
    assert written == page(), "write it again: python -m project.metrics_page > docs/metrics.md"


def test_prometheus_takes_both_ways_to_scrape(tmp_path):
    try:
        promtool = need_program("promtool", "prometheus", purpose="promtool")
    except LabError as error:
        cannot_be_had(error)
    jobs = re.findall(r"^      - job_name: .*\n(?:^        .*\n)+", page(), re.M)
    assert len(jobs) == 2
    for job in jobs:
        (tmp_path / "prometheus.yml").write_text(f"scrape_configs:\n{job}")
        checked = subprocess.run(
            [promtool, "check", "config", "--syntax-only", tmp_path / "prometheus.yml"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
