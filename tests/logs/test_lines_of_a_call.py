"""Every line of a call bears its id, and one line tells how it ended."""

import asyncio
import logging

from calls import log_context
from calls.routing.choice import Refusal
from cdr.record import Disposition
from tests.engine.conftest import mailboxes, make_office, office
from tests.machine.world import CALL, A, World, b

__all__ = ["mailboxes", "make_office", "office"]


def endings(lines):
    return [line for line in lines if "disposition" in line]


async def test_one_line_tells_of_a_call_that_is_over(office, written):
    await office.begin()
    office.world.ring(b())
    office.world.answer(b())
    await office.tell()
    await office.attend()
    assert endings(written) == []
    office.world.now_ms += 10_000
    office.world.end(A)
    await office.tell()
    await office.attend()

    (line,) = endings(written)
    assert (line["call_id"], line["level"]) == (CALL, "INFO")
    assert (line["disposition"], line["ended_by"], line["trunk"]) == (
        "answered",
        "caller",
        "carrier-a",
    )
    assert (line["attempts"], line["q850_cause"], line["integrity"]) == (1, 16, "complete")
    assert 10_000 < line["talk_ms"] < line["duration_ms"] < 12_000
    assert line["message"].startswith(f"Call {CALL} is over: answered after 10.")


async def test_a_refused_call_says_why(make_office, written):
    office = make_office(World(found=Refusal(Disposition.NO_ROUTE, 1, "no route")))
    await office.begin()
    (line,) = endings(written)
    assert (line["disposition"], line["reason"], line["trunk"]) == ("no_route", "no route", "")


async def test_whatever_is_logged_in_a_turn_bears_the_calls_id(office, written):
    office.directory.down = True
    await office.begin()
    assert len(written) >= 2
    assert {line["call_id"] for line in written} == {CALL}


async def test_calls_side_by_side_keep_their_lines_apart(written):
    logger = logging.getLogger("calls.somewhere_deep")

    async def turn(call):
        log_context.call_id.set(call)
        await asyncio.sleep(0)
        await asyncio.gather(deep(), deep())

    async def deep():
        logger.warning("something")

    await asyncio.gather(turn("pbx1:1.1"), turn("pbx1:2.1"))
    assert sorted(line["call_id"] for line in written) == ["pbx1:1.1"] * 2 + ["pbx1:2.1"] * 2


def test_a_line_of_no_call_bears_none(line):
    assert "call" not in line("a sentence", form="json").replace('"logger":"calls"', "")
    assert line("a sentence").endswith("INFO calls a sentence")


def test_in_text_the_id_stands_behind_a_message_that_does_not_hold_it(line):
    log_context.call_id.set("pbx1:1.1")
    assert line("Redis is slow").endswith("INFO calls Redis is slow [call pbx1:1.1]")
    assert line("Call pbx1:1.1 waits").endswith("INFO calls Call pbx1:1.1 waits")


def test_what_is_said_with_a_line_goes_before_the_turn_it_is_said_in(line):
    log_context.call_id.set("pbx1:1.1")
    assert '"call_id":"pbx1:2.1"' in line("x", form="json", call_id="pbx1:2.1")
