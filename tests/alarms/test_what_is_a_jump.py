"""An account's hour against its own history: what is alarming, and what is only busy."""

import pytest

from calls.alarms.jumps import Hour, Kind, jumps

QUIET = [Hour(10, 1, 20)] * 40


def found(now, history=()):
    return [(jump.kind, jump.seen, jump.usual) for jump in jumps({"acme": now}, {"acme": history})]


@pytest.mark.parametrize(
    ("now", "history", "alarms"),
    [
        (Hour(10, 1, 20), QUIET, []),
        # Ten times as much of each.
        (Hour(100, 1, 20), QUIET, [(Kind.CALLS, 100, 10)]),
        (Hour(10, 9, 20), QUIET, [(Kind.COUNTRIES, 9, 1)]),
        (Hour(10, 1, 200), QUIET, [(Kind.MINUTES, 200, 20)]),
        # Much, and usual.
        (Hour(1000, 30, 3000), [Hour(900, 25, 2900)] * 10, []),
        (Hour(100, 1, 20), [Hour(50, 1, 20)] * 10, []),
        # More than ever, and little in itself.
        (Hour(59, 4, 119), [], []),
        (Hour(59, 4, 119), [Hour(1, 1, 1)] * 9, []),
        # An account without a history.
        (
            Hour(60, 5, 120),
            [],
            [(Kind.CALLS, 60, 0), (Kind.COUNTRIES, 5, 0), (Kind.MINUTES, 120, 0)],
        ),
        # Three times is no jump yet, more is.
        (Hour(90, 1, 0), [Hour(30, 1, 0)], []),
        (Hour(91, 1, 0), [Hour(30, 1, 0)], [(Kind.CALLS, 91, 30)]),
    ],
)
def test_an_hour_is_alarming_when_it_is_much_and_far_above_what_is_usual(now, history, alarms):
    assert found(now, history) == alarms


def test_one_attack_does_not_hide_the_next():
    history = [*QUIET, Hour(4000, 60, 9000)]

    assert found(Hour(400, 1, 20), history) == [(Kind.CALLS, 400, 10)]


def test_an_alarm_says_whose_and_how_much():
    (jump,) = jumps({"acme": Hour(100, 1, 20)}, {"acme": QUIET})

    assert jump.sentence == "account acme: 100 calls within an hour; usual are 10 at most"
