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


def test_what_an_exception_says_is_no_entry_either():
    formatter = OneLineFormatter("{levelname} {message}", style="{")
    try:
        raise ValueError("Eve\nINFO paid\x1b[2J\rINFO paid\u2028INFO paid")
    except ValueError as error:
        about = (type(error), error, error.__traceback__)
    record = logging.makeLogRecord({"msg": "wrong", "levelname": "ERROR", "exc_info": about})
    first, *others = formatter.format(record).splitlines()

    assert first == "ERROR wrong"
    assert all(line.startswith("  | ") for line in others)
    assert "  | ValueError: Eve" in others
