"""When a route holds: schedules as people write them, on the wall clock of the account."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.routing.schedules import DAYS, ScheduleError, read_schedule

# 2026-11-23 is a Monday.
MON, TUE, WED, THU, FRI, SAT, SUN = (f"2026-11-{day}" for day in range(23, 30))


@pytest.mark.parametrize(
    ("schedule", "inside", "outside"),
    [
        (
            "mon-fri 08:00-18:00, sat 09:00-12:00",
            [f"{MON} 08:00", f"{FRI} 17:59", f"{SAT} 09:00", f"{SAT} 11:59"],
            [f"{MON} 07:59", f"{FRI} 18:00", f"{SAT} 12:00", f"{SUN} 10:00"],
        ),
        (
            "MON-FRI  8:00 - 12:00 13:00-18:00",
            [f"{MON} 08:00", f"{MON} 13:00"],
            [f"{MON} 12:30", f"{SAT} 09:00"],
        ),
        # Over midnight: the night belongs to the day it began on.
        (
            "fri 22:00-06:00",
            [f"{FRI} 22:00", f"{FRI} 23:59", f"{SAT} 00:00", f"{SAT} 05:59"],
            [f"{FRI} 05:59", f"{FRI} 21:59", f"{SAT} 06:00", f"{SAT} 22:00"],
        ),
        # And over the end of the week.
        (
            "sun 22:00-06:00",
            [f"{SUN} 23:00", f"{MON} 00:00", f"{MON} 05:59"],
            [f"{MON} 06:00", f"{SUN} 00:30"],
        ),
        ("fri-mon 10:00-11:00", [f"{FRI} 10:00", f"{SUN} 10:00", f"{MON} 10:59"], [f"{TUE} 10:00"]),
        ("sun", [f"{SUN} 00:00", f"{SUN} 23:59"], [f"{SAT} 23:59", f"{MON} 00:00"]),
        ("daily 00:00-24:00", [f"{MON} 00:00", f"{SUN} 23:59"], []),
        ("daily 18:00-24:00", [f"{WED} 23:59"], [f"{THU} 00:00"]),
        ("mon 10:00-11:00, mon 10:30-12:00", [f"{MON} 11:30"], [f"{MON} 12:00"]),
    ],
)
def test_a_schedule_holds_from_its_first_minute_until_before_its_last(schedule, inside, outside):
    read = read_schedule(schedule)

    assert [text for text in inside if not read.covers(datetime.fromisoformat(text))] == []
    assert [text for text in outside if read.covers(datetime.fromisoformat(text))] == []


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        ("monday 08:00-18:00", "'monday' is no day"),
        ("mon-", "'' is no day"),
        ("mon 08:00", "'08:00' is no time of day from-to"),
        ("mon 8-18", "'8-18' is no time of day from-to"),
        ("mon 08:00-25:00", "25:00 is no time of day"),
        ("mon 08:60-09:00", "08:60 is no time of day"),
        ("mon 24:00-06:00", "begins at 24:00"),
        ("mon 08:00-08:00", "a whole day is 00:00-24:00"),
        ("mon 08:00-18:00,", "one of them is empty"),
        ("", "one of them is empty"),
        ("mon \u0660\u0668:00-18:00", "no time of day from-to"),
        ("mon" * 100, "up to 200 characters"),
    ],
)
def test_what_is_no_schedule_is_refused_with_a_sentence(schedule, sentence):
    with pytest.raises(ScheduleError, match=sentence):
        read_schedule(schedule)


@given(st.integers(0, 1439), st.integers(0, 1440), st.sampled_from(DAYS))
def test_a_span_covers_as_many_minutes_of_the_week_as_it_is_long(begin, end, day):
    if begin == end:
        return
    text = f"{day} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    ((first, last),) = read_schedule(text).spans

    assert last - first == (end - begin) % 1440 or (last - first == 1440 == end)
