"""The ladder has everything of the tale, in order, and shows what went wrong as that."""

import re

import pytest

from calls.machine.commands import CreateChannel
from calls.machine.events import ChannelRinging, Doubted
from calls.machine.journal import Page, Unread
from calls.story.ladder import ladder
from calls.story.retrace import retrace
from calls.story.sip import SipMessage
from calls.story.tale import ASTERISK, CALLER, RINGMASTER, Kind, tell
from tests.machine.world import CALL, A, b, entered, ordered, plan, target
from tests.story.journals import BEGAN_MS, Noting, answered, begun, over, refused_by_carrier

A_END, ASTERISK_END, B_END = "127.0.0.1:5061", "127.0.0.1:5060", "127.0.0.1:5070"


def texts(tale, kind):
    return [item.text for item in tale.items if item.kind is kind]


def test_who_was_in_it_and_what_passed_between_them():
    tale = tell(answered().course, recorded="recorded")

    assert tale.lines == (CALLER, ASTERISK, RINGMASTER, "carrier-a")
    assert texts(tale, Kind.COMMAND) == [
        "create PJSIP/33123@carrier-a (1 ms)",
        "create the bridge (1 ms)",
        "limit to 3630 s (1 ms)",
        "add both to bridge (1 ms)",
        "dial for 30 s (1 ms)",
        "answer the caller (1 ms)",
        "hang up, cause 16 (1 ms)",
        "remove the bridge (1 ms)",
    ]
    assert texts(tale, Kind.GAP) == ["4.0 s later", "5.0 s later"]
    assert texts(tale, Kind.RECORD) == ["recorded"]
    assert [item.at_ms for item in tale.items] == sorted(item.at_ms for item in tale.items)


def test_a_command_that_failed_is_wrong_and_says_why():
    world = over(begun(broken={CreateChannel: "no such endpoint there"}))
    (failed,) = [item for item in tell(world.course).items if item.kind is Kind.COMMAND][:1]

    assert failed.bad
    assert failed.text == "create PJSIP/33123@carrier-a (failed, 1 ms)"
    assert failed.detail == "no such endpoint there"


def test_a_take_over_a_wait_and_a_doubt_are_visible():
    world = Noting(now_ms=BEGAN_MS)
    world.hear(entered(BEGAN_MS))
    world.told.clear()
    world.another_worker("w2.1")
    world.session = None
    # As the pages of a worker that died after its first save, and of one that came later.
    pages = world.read_pages()[:1]
    late = Page("w2.1", BEGAN_MS + 4_000, (*world.read_pages()[1].entries,))
    tale = tell(retrace(CALL, [*pages, late]))
    turns = [item for item in tale.items if item.kind is Kind.TURN]

    assert any("takes over" in item.text and "create" in item.detail for item in turns)
    doubted = Noting(now_ms=BEGAN_MS)
    doubted.hear(entered(BEGAN_MS))
    doubted.hear(Doubted(BEGAN_MS + 5_000))
    doubts = [item for item in tell(doubted.course).items if item.kind is Kind.DOUBT]
    assert {item.text: item.bad for item in doubts} == {
        "doubt: something should have been heard": True,
        "there is: Down, Ring, the bridge": False,
    }


def test_an_event_that_waited_for_a_worker_says_so():
    world = begun()
    world.save()
    world.notebook = type(world.notebook)("w1.2", world.now_ms + 2_500)
    world.hear(ChannelRinging(b(), world.now_ms))

    assert "waited 2.5 s for a worker" in texts(tell(world.course), Kind.TURN)


def test_a_command_done_twice_says_again():
    world = begun()
    world.another_worker("w2.1")
    first = world.course
    (dial,) = [each for each in first.decisions if each.signal == "done dial"]
    world.notebook.note(dial.event, dial.asked_ms + 4_000)

    assert "again: dial for 30 s" in " ".join(texts(tell(world.course), Kind.COMMAND))


def test_what_cannot_be_read_stands_on_the_ladder():
    course = retrace(CALL, [*answered().read_pages(), Page("", 0, (Unread("[1]"),))])

    assert texts(tell(course), Kind.UNREAD) == ["an entry that cannot be read"]


def sip(at_ms, source, to, call_id, text):
    return SipMessage(at_ms * 1000, source, to, call_id, text)


def test_sip_messages_stand_between_a_leg_and_asterisk():
    world = Noting(now_ms=BEGAN_MS)
    world.hear(entered(BEGAN_MS, sip_call_id="of-a"))
    world.told.clear()
    tale = tell(
        world.course,
        (
            sip(BEGAN_MS - 5, A_END, ASTERISK_END, "of-a", "INVITE sip:x SIP/2.0"),
            sip(BEGAN_MS - 4, ASTERISK_END, A_END, "of-a", "SIP/2.0 100 Trying\r\nCSeq: 1 INVITE"),
            sip(BEGAN_MS + 9, ASTERISK_END, A_END, "of-a", "SIP/2.0 486 Busy\r\nCSeq: 1 INVITE"),
        ),
    )
    found = [(i.source, i.target, i.text, i.bad) for i in tale.items if i.kind is Kind.SIP]

    assert found == [
        (CALLER, ASTERISK, "INVITE", False),
        (ASTERISK, CALLER, "100 Trying", False),
        (ASTERISK, CALLER, "486 Busy", True),
    ]
    (entered_item,) = [i for i in tale.items if i.kind is Kind.EVENT]
    assert (entered_item.source, entered_item.target) == (ASTERISK, RINGMASTER)


def test_a_response_never_stands_before_its_request():
    """Asterisk copies a message that it sends after sending it."""
    world = Noting(now_ms=BEGAN_MS)
    world.hear(entered(BEGAN_MS, sip_call_id="of-a"))
    tale = tell(
        world.course,
        (
            sip(BEGAN_MS + 1, A_END, ASTERISK_END, "of-a", "SIP/2.0 200 OK\r\nCSeq: 9  BYE\r\n"),
            sip(BEGAN_MS + 2, ASTERISK_END, A_END, "of-a", "BYE sip:x SIP/2.0\r\nCSeq: 9 BYE\r\n"),
            sip(BEGAN_MS - 1, A_END, ASTERISK_END, "of-a", "INVITE sip:x SIP/2.0"),
        ),
    )

    assert texts(tale, Kind.SIP) == ["INVITE", "BYE", "200 OK (BYE)"]


def test_the_picture_has_every_item_and_is_of_the_size_asked_for():
    tale = tell(answered(found=plan(target("carrier-a"), target("carrier-b"))).course)
    picture = ladder(tale, zoom=50, chosen=3)

    assert picture.count("<g ") == len(tale.items)
    assert len(re.findall('class="rm-chosen"', picture)) == sum(
        item.decision == 3 for item in tale.items
    )
    width, height = re.search(r'viewBox="0 0 (\d+) (\d+)" width="(\d+)"', picture).group(1, 3)
    assert int(height) == int(width) // 2


@pytest.mark.parametrize("evil", ["</text><script>", '" onload="x', "\x1b[31m", "&lt;"])
def test_hostile_text_is_text(evil):
    world = over(begun(broken={CreateChannel: evil}, found=plan(target(evil))))
    picture = ladder(tell(world.course))

    assert "<script" not in picture
    assert 'onload="' not in picture.replace("&quot;", "")
    assert "\x1b" not in picture


def test_a_wide_note_on_the_last_line_stays_in_the_picture():
    world = Noting(now_ms=BEGAN_MS, channels={})
    world.hear(ordered(BEGAN_MS, by="token of a customer relations program"))
    world.hear_all()
    world.end(A, 17, 486)
    world.hear_all()
    picture = ladder(tell(world.course))
    wide = float(re.search(r'viewBox="0 0 (\d+)', picture)[1])
    boxes = re.findall(r'class="rm-box" x="([\d.]+)" y="\d+" width="([\d.]+)"', picture)

    assert len(boxes) >= 3
    assert all(float(x) + float(width) <= wide for x, width in boxes)


def test_what_is_said_over_an_arrow_between_neighbours_is_whole():
    trunks = plan(target("carrier-a"), target("carrier-b"), target("carrier-c"))
    world = refused_by_carrier(34, 503, found=trunks)
    world.end(b(2), 34, 503)
    world.hear_all()
    world.end(b(3), 34, 503)
    tale = tell(over(world).course)

    assert len(tale.lines) == 6, "as many as make a picture narrow"
    assert "create PJSIP/33123@carrier-a (1 ms)</text>" in ladder(tale)
    assert "…" not in ladder(tale)
