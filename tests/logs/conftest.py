"""Log lines as a process writes them."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from calls import log_context
from project import logs


@pytest.fixture(autouse=True)
def _of_no_call() -> Iterator[None]:
    token = log_context.call_id.set("")
    yield
    log_context.call_id.reset(token)


@pytest.fixture
def line() -> Callable[..., str]:
    """The line that is written of this message."""

    def line(message: str, *args: object, form: str = "text", **more: Any) -> str:
        record = logging.makeLogRecord(
            {"msg": message, "args": args, "levelname": "INFO", "name": "calls", **more}
        )
        return logs.formatter(form).format(record)

    return line


@pytest.fixture
def written() -> Iterator[list[dict[str, Any]]]:
    """What is logged from here on, each line as JSON."""
    lines: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(self.format(record)))

    handler = Keep()
    handler.setFormatter(logs.formatter("json"))
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)
