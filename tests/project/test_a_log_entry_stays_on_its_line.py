"""Dialled numbers and caller names reach the log; none may forge an entry there."""

import logging

import pytest

from project.logs import OneLineFormatter


@pytest.mark.parametrize("control", ["\n", "\r", "\x1b", "\x00", "\x85", "\u2028"])
def test_control_characters_in_a_message_are_written_out(control):
    formatter = OneLineFormatter("{levelname} {message}", style="{")
    record = logging.makeLogRecord(
        {"msg": "caller %s", "args": (f"Eve{control}INFO paid",), "levelname": "INFO"}
    )
    line = formatter.format(record)
    assert control not in line
    assert line.startswith("INFO caller Eve\\")
    assert line.endswith("INFO paid")
