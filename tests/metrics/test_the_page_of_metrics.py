"""docs/metrics.md is what the code declares."""

from pathlib import Path

from django.conf import settings

from project.metrics_page import page


def test_the_page_is_as_the_code_declares():
    written = (Path(settings.BASE_DIR) / "docs" / "metrics.md").read_text()
    assert written == page(), "write it again: python -m project.metrics_page > docs/metrics.md"
