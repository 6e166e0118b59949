"""What the keys of `live_calls --watch` do: nothing is hung up without a yes."""

import io
import os
import pty

import pytest
from rich.console import Console

from calls.clock import wall_clock_ms
from calls.engine.live import LiveCall, LiveState
from calls.machine.events import HangupAsked, decode
from calls.management.commands import live_calls
from calls.management.keyboard import key, keys_of
from calls.management.live_screen import Screen
from tests.lab import live
from tests.lab.waiting import wait_for


def call(number, account="acme", callee="4930"):
    return LiveCall(
        f"pbx1:1.{number}", LiveState.TALKING, 0, 0, account, "4940", callee, "carrier-a", 1
    )


@pytest.fixture
def screen():
    screen = Screen()
    screen.show([call(0), call(1, "beta"), call(2)])
    return screen


def pressed(screen, *keys):
    return [ended for each in keys if (ended := screen.press(each))]


def drawn(screen, height=24):
    out = io.StringIO()
    Console(file=out, width=120).print(screen.draw(1_000, height))
    return out.getvalue()


def test_the_chosen_call_ends_after_a_yes(screen):
    assert pressed(screen, "down", "h") == []
    assert "Hang up pbx1:1.1? y / n" in drawn(screen)
    assert pressed(screen, "y") == [("pbx1:1.1",)]


@pytest.mark.parametrize("no", ["n", "q", " ", "h", "down"])
def test_any_other_answer_leaves_it_up(screen, no):
    assert pressed(screen, "h", no) == []
    assert "Nothing was hung up." in drawn(screen)
    assert not screen.quits
    assert pressed(screen, "y") == []


def test_ticked_calls_end_together(screen):
    assert pressed(screen, " ", "j", "j", " ", "h", "y") == [("pbx1:1.0", "pbx1:1.2")]


def test_all_calls_of_an_account_end(screen):
    pressed(screen, "a")
    assert "Hang up 2 calls of account acme? y / n" in drawn(screen)
    assert pressed(screen, "y") == [("pbx1:1.0", "pbx1:1.2")]


def test_what_is_chosen_stays_chosen_while_others_come_and_go(screen):
    pressed(screen, "down")
    screen.show([call(7), call(0), call(1, "beta")])
    assert screen.chosen == call(1, "beta")
    screen.show([])
    assert pressed(screen, "h", "a", " ", "y", "down", "up") == []


def test_a_yes_ends_the_calls_that_were_named_and_no_later_ones(screen):
    pressed(screen, "a")
    screen.show([call(0), call(9)])
    assert pressed(screen, "y") == [("pbx1:1.0", "pbx1:1.2")]


def test_hostile_numbers_cannot_steer_the_terminal(screen):
    screen.show([call(0, callee="49\x1b[2J")])
    assert r"49\x1b[2J" in drawn(screen)


def test_as_many_calls_are_drawn_as_there_is_room_for(screen):
    screen.show([call(n) for n in range(10_000)])
    for _ in range(500):
        screen.press("down")
    lines = drawn(screen, height=20).splitlines()
    assert len(lines) <= 20
    assert any("pbx1:1.500 " in line for line in lines)


@pytest.mark.parametrize(
    ("written", "name"), [(b"\x1b[A", "up"), (b"\x1bOB", "down"), (b"h", "h"), (b"\xff", "\ufffd")]
)
def test_a_key_is_read_at_once(written, name):
    leader, terminal = pty.openpty()
    with keys_of(terminal):
        os.write(leader, written)
        assert key(terminal, 5) == name
        assert key(terminal, 0) == ""
    os.close(leader)
    os.close(terminal)


def test_the_command_hangs_up_what_is_confirmed(clean_redis, monkeypatch):
    (up,) = live.put(clean_redis, [live.session(1, now_ms=wall_clock_ms())])
    keys = iter(["h", "y", "q"])
    leader, terminal = pty.openpty()
    monkeypatch.setattr(live_calls, "key", lambda *_: next(keys))
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        live_calls._watch(live_calls.Wanted())
    os.close(leader)
    mail = f"ringmaster:mail:{up}"
    wait_for(lambda: clean_redis.llen(mail), timeout_s=5, failure=lambda: "no mail")
    assert isinstance(decode(clean_redis.lindex(mail, 0)), HangupAsked)
