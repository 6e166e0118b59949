"""The end of an attempt: its disposition, whether to hunt on, what the caller hears, NER."""

import pytest

from calls.causes import BY_CAUSE, BY_SIP, Hunt, verdict

NEXT, STOP = Hunt.NEXT, Hunt.STOP

# Q.850 cause, SIP code: disposition, hunt, cause for the caller, reached (NER).
NOT_RUNG = [
    (17, 486, "busy", STOP, 17, True),
    (17, 600, "busy", STOP, 17, True),
    (17, None, "busy", STOP, 17, True),
    (19, 480, "no_answer", STOP, 19, False),
    (18, None, "no_answer", STOP, 19, False),
    (19, None, "no_answer", STOP, 19, False),
    (20, None, "no_answer", STOP, 19, False),
    (21, 403, "rejected", NEXT, 21, False),
    (21, 603, "rejected", STOP, 21, True),
    (21, 607, "rejected", STOP, 21, True),
    (58, 608, "rejected", STOP, 21, True),
    (21, None, "rejected", STOP, 21, False),
    (1, 404, "unallocated", NEXT, 1, False),
    (1, None, "unallocated", NEXT, 1, False),
    (2, None, "unallocated", NEXT, 1, False),
    (3, None, "unallocated", NEXT, 1, False),
    (26, None, "unallocated", NEXT, 1, False),
    (28, 484, "invalid_number", STOP, 28, False),
    (28, None, "invalid_number", STOP, 28, False),
    (22, 410, "invalid_number", STOP, 22, False),
    (22, None, "invalid_number", STOP, 22, False),
    (1, 604, "invalid_number", STOP, 28, False),
    (25, 482, "loop", STOP, 19, False),
    (19, 483, "loop", STOP, 19, False),
    (25, None, "loop", STOP, 19, False),
    (21, 401, "trunk_auth", NEXT, 21, False),
    (21, 407, "trunk_auth", NEXT, 21, False),
    (58, 488, "media", STOP, 58, False),
    (58, 415, "media", STOP, 58, False),
    (58, 606, "media", STOP, 58, False),
    (58, None, "media", STOP, 58, False),
    (65, None, "media", STOP, 58, False),
    (88, None, "media", STOP, 58, False),
    (102, 408, "timeout", NEXT, 18, False),
    (102, None, "timeout", NEXT, 18, False),
    (38, 500, "congestion", NEXT, 38, False),
    (34, 501, "congestion", NEXT, 34, False),
    (27, 502, "congestion", NEXT, 27, False),
    (34, 503, "congestion", NEXT, 34, False),
    (3, 420, "congestion", NEXT, 34, False),
    (23, 302, "congestion", NEXT, 34, False),
    (17, 300, "congestion", NEXT, 34, False),
    (127, 399, "congestion", NEXT, 34, False),
    (34, 504, "congestion", NEXT, 34, False),
    (34, 513, "congestion", NEXT, 34, False),
    (27, None, "congestion", NEXT, 27, False),
    (34, None, "congestion", NEXT, 34, False),
    (38, None, "congestion", NEXT, 38, False),
    (41, None, "congestion", NEXT, 34, False),
    (42, None, "congestion", NEXT, 34, False),
    (47, None, "congestion", NEXT, 34, False),
    (127, 699, "rejected", STOP, 21, False),
    (None, None, "congestion", NEXT, 34, False),
    (0, None, "congestion", NEXT, 34, False),
]


@pytest.mark.parametrize(("cause", "sip_code", "disposition", "hunt", "heard", "reached"), NOT_RUNG)
def test_an_end_without_ringing(cause, sip_code, disposition, hunt, heard, reached):
    found = verdict(cause, sip_code, rang=False)

    assert (found.disposition, found.hunt) == (disposition, hunt)
    assert (found.caller_cause, found.effective) == (heard, reached)


@pytest.mark.parametrize(("cause", "sip_code"), [row[:2] for row in NOT_RUNG])
def test_what_has_rung_is_never_hunted_on_from(cause, sip_code):
    assert verdict(cause, sip_code, rang=True).hunt is STOP


@pytest.mark.parametrize(
    ("cause", "sip_code"),
    [(19, 480), (102, 408), (127, 487), (19, None), (18, None), (102, None), (None, None)],
)
def test_a_ring_nobody_answered_reached_the_callee(cause, sip_code):
    found = verdict(cause, sip_code, rang=True)

    assert (found.disposition, found.caller_cause, found.effective) == ("no_answer", 19, True)


@pytest.mark.parametrize(
    ("cause", "sip_code", "disposition", "heard", "reached"),
    [
        (17, 486, "busy", 17, True),
        (21, 603, "rejected", 21, True),
        (21, 403, "rejected", 21, False),
        (34, 503, "congestion", 34, False),
        (1, 404, "unallocated", 1, False),
    ],
)
def test_another_end_after_ringing_is_told_as_it_is(cause, sip_code, disposition, heard, reached):
    found = verdict(cause, sip_code, rang=True)

    assert (found.disposition, found.caller_cause) == (disposition, heard)
    assert found.effective is reached


def test_the_sip_code_is_believed_before_the_cause():
    assert verdict(34, 486, rang=False) == verdict(17, None, rang=False)


def test_every_known_code_and_cause_stands_in_the_table_above():
    assert {row[1] for row in NOT_RUNG if row[1] is not None} >= set(BY_SIP)
    assert {row[0] for row in NOT_RUNG if row[1] is None} >= set(BY_CAUSE)
