"""LOG_FORMAT=json: one object a line, whatever is in it."""

import json
import re
import sys

import pytest

from project.environment import choice


def test_what_a_line_holds(line):
    told = json.loads(line("caller %s", "Eve", form="json", created=1_796_000_000.5, process=7))
    assert told == {
        "time": "2026-11-30T00:53:20.500Z",
        "level": "INFO",
        "logger": "calls",
        "process": 7,
        "message": "caller Eve",
    }


@pytest.mark.parametrize("text", ["\n", '"}', "\x1b[2J", "\u2028", "\ud83d", "\x00", "\\"])
def test_nothing_in_a_message_forges_a_line_or_breaks_one(line, text):
    written = line("caller %s", f"Eve{text}INFO paid", form="json", call_id=f"pbx1:{text}")
    assert len(written.splitlines()) == 1 or text == "\u2028"
    assert not re.search(r"[\x00-\x1f]", written)
    assert json.loads(written)["message"].startswith("caller Eve")


def test_a_traceback_is_one_of_its_texts(line):
    try:
        raise ValueError("redis://:hunter2@redis.example/0 is away")
    except ValueError:
        written = line("it failed", form="json", exc_info=sys.exc_info())
    assert len(written.splitlines()) == 1
    told = json.loads(written)
    assert told["exception"].startswith("Traceback")
    assert "hunter2" not in written


def test_fields_do_not_take_the_place_of_what_every_line_has(line):
    fields = {"level": "forged", "talk_ms": 7, "reason": "password=hunter2"}
    told = json.loads(line("x", form="json", fields=fields))
    assert (told["level"], told["talk_ms"], told["reason"]) == ("INFO", 7, "password=***")


def test_another_form_is_refused():
    with pytest.raises(Exception, match="LOG_FORMAT"):
        choice("LOG_FORMAT", "xml", ("text", "json"))
