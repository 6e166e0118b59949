"""What the stream says of a trace, in any version's words. Pure."""

import orjson
import pytest

from cdr.errors import CdrError, first_line
from cdr.trace import TraceHead

HEAD = TraceHead(call_id="pbx1:1", node="pbx1", account="demo", started_ms=5, failed=False)


def test_it_comes_back_as_it_went():
    assert TraceHead.from_json(HEAD.to_json()) == HEAD


def test_fields_of_a_newer_version_are_passed_over_and_those_of_an_older_are_filled():
    plain = orjson.loads(HEAD.to_json()) | {"colour": "red"}
    del plain["sip_call_ids"]

    assert TraceHead.from_json(orjson.dumps(plain)) == HEAD


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"call_id": ""}', b"\xff"])
def test_what_names_no_call_is_refused_with_a_sentence(text):
    with pytest.raises(CdrError, match="does not say which call it is of"):
        TraceHead.from_json(text)


def test_a_head_without_a_call_id_is_refused():
    plain = orjson.loads(HEAD.to_json()) | {"call_id": ""}
    with pytest.raises(CdrError, match="does not say which call it is of"):
        TraceHead.from_json(orjson.dumps(plain))


@pytest.mark.parametrize("failed", [1, 0, "no", {}, None])
def test_a_head_that_does_not_say_whether_the_call_failed_is_refused(failed):
    """The database would refuse it, and all that came with it, again and again."""
    plain = orjson.loads(HEAD.to_json()) | {"failed": failed}
    with pytest.raises(CdrError):
        TraceHead.from_json(orjson.dumps(plain))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("it broke.\nDETAIL: here"), "it broke"),
        (ValueError("\n it broke"), "it broke"),
        (TimeoutError(), "nothing came"),
    ],
)
def test_an_error_is_told_in_its_first_line(error, said):
    assert first_line(error, "nothing came") == said


def test_an_error_without_a_word_is_told_by_its_class():
    assert first_line(TimeoutError()) == "TimeoutError"
