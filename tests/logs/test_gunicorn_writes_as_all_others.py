"""gunicorn's lines have the form of all others."""

import json

import pytest
from gunicorn.config import Config

from project.gunicorn_logs import RingmasterLogger


@pytest.mark.parametrize("form", ["text", "json"])
def test_gunicorn_writes_as_log_format_says(settings, capsys, form):
    settings.LOG_FORMAT = form
    RingmasterLogger(Config()).error("Listening at: %s", "http://127.0.0.1:8000 (7)")
    written = capsys.readouterr().err
    assert "Listening at: http" in written
    if form == "json":
        line = json.loads(written)
        assert (line["level"], line["logger"]) == ("ERROR", "gunicorn.error")
    else:
        assert " ERROR gunicorn.error Listening at" in written
