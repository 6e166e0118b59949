"""A workers' clock that was ahead shows itself by effects before their causes, and is set right."""

from dataclasses import replace

from calls.machine.journal import Entry, Page
from calls.story.clocks import ahead_ms, by_one_clock
from calls.story.retrace import retrace
from calls.story.tale import Kind, tell
from tests.machine.world import CALL
from tests.story.journals import answered


def ahead_by(ms):
    """An answered call whose workers' clock was ahead by so much."""
    pages = []
    for page in answered().read_pages():
        entries = []
        for entry in page.entries:
            event = entry.event
            if entry.asked_ms:
                event = replace(event, at_ms=event.at_ms + ms)
                entry = Entry(event, entry.asked_ms + ms)
            entries.append(entry)
        pages.append(Page(page.turn, page.began_ms + ms, tuple(entries)))
    return retrace(CALL, pages)


def test_clocks_that_agree_are_left_alone():
    course = answered().course

    assert ahead_ms(course) == 0
    assert by_one_clock(course) is course


def test_a_hang_up_of_ours_that_seems_to_follow_its_effect_tells_how_far():
    found = ahead_ms(ahead_by(500))

    assert 480 <= found <= 500


def test_what_workers_did_stands_before_its_effect_again():
    tale = tell(ahead_by(500))
    texts = [item.text for item in tale.items if item.kind in (Kind.COMMAND, Kind.EVENT)]

    assert texts.index("hang up, cause 16 (1 ms)") < texts.index("is hung up")
    assert texts.index("dial for 30 s (1 ms)") < texts.index("rings")


def test_a_difference_that_is_no_clocks_is_left():
    assert ahead_ms(ahead_by(3_600_000)) == 0
