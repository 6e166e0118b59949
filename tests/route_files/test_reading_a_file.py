"""A file's lines become routes, or errors that name the line and say what is wrong with it."""

from datetime import UTC, datetime

import pytest

from calls.route_files.reading import FileRefused, decode, parse
from calls.route_files.spec import RouteSpec, TargetSpec

HEADER = "prefix,account,action,enabled,note,targets\n"


def read(text, header=HEADER):
    return parse(header + text, {"demo", "+special"}, {"a", "b", "x|y:z\\"})


def targets(*each):
    return tuple(TargetSpec(priority, trunk, weight) for trunk, priority, weight in each)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("49,,route,true,,a", RouteSpec("49", "", targets=targets(("a", 1, 100)))),
        (
            "49,demo,route,no,Berlin,b:2:30|a:1:70",
            RouteSpec("49", "demo", "route", False, "Berlin", targets(("a", 1, 70), ("b", 2, 30))),
        ),
        (
            " 49 , demo ,ROUTE,TRUE,, a : 2 ",
            RouteSpec("49", "demo", targets=targets(("a", 2, 100))),
        ),
        ("49,,route,1,,a::5", RouteSpec("49", "", targets=targets(("a", 1, 5)))),
        (",,block,true,nobody,", RouteSpec("", "", "block", True, "nobody")),
        ("1900,,block,true,,a", RouteSpec("1900", "", "block", targets=targets(("a", 1, 100)))),
        (
            '49,,route,true,"a, ""b""\r\nc",a',
            RouteSpec("49", "", note='a, "b"\r\nc', targets=targets(("a", 1, 100))),
        ),
        (
            "49,,route,true,,x\\|y\\:z\\\\:3:4|b",
            RouteSpec("49", "", targets=targets(("b", 1, 100), ("x|y:z\\", 3, 4))),
        ),
        (
            "49,'+special,route,true,'=1+1,a",
            RouteSpec("49", "+special", note="=1+1", targets=targets(("a", 1, 100))),
        ),
        ("49,,route,true,'tis,a", RouteSpec("49", "", note="'tis", targets=targets(("a", 1, 100)))),
        ("49,,route,true,,a,,", RouteSpec("49", "", targets=targets(("a", 1, 100)))),
    ],
)
def test_a_good_line_is_a_route(line, expected):
    deck = read(line + "\n")
    assert (list(deck.routes.values()), deck.errors) == ([expected], ())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("+49,,route,true,,a", "prefix '+49': A prefix is made of up to 15 digits"),
        ("4.9E+10,,route,true,,a", "prefix '4.9E+10': A prefix is made of up to 15 digits"),
        ("4930123456789012,,route,true,,a", "prefix '4930123456789012'"),
        ("٤٩,,route,true,,a", "A prefix is made of up to 15 digits"),
        ("49,nobody,route,true,,a", "account 'nobody': there is no account with this code"),
        ("49,,reroute,true,,a", "action 'reroute': must be route or block"),
        ("49,,,true,,a", "action '': must be route or block"),
        ("49,,route,perhaps,,a", "enabled 'perhaps': must be true or false"),
        ("49,,route,,,a", "enabled '': must be true or false"),
        ("49,,route,true," + "n" * 201 + ",a", "at most 200 characters"),
        ("49,,route,true,a\0b,a", "NUL"),
        ("49,,route,true,,", "a route to trunks needs at least one trunk"),
        ("49,,route,true,,c", "there is no trunk named 'c'"),
        ("49,,route,true,,a|", "there is no trunk named ''"),
        ("49,,route,true,,a:1:100|a:2:100", "the trunk 'a' stands there twice"),
        ("49,,route,true,,a:0", "the priority 0: "),
        ("49,,route,true,,a:1000", "the priority 1000: "),
        ("49,,route,true,,a:1:0", "the weight 0: "),
        ("49,,route,true,,a:1:1001", "the weight 1001: "),
        ("49,,route,true,,a:first", "the priority 'first' is no whole number"),
        ("49,,route,true,,a:-1", "the priority '-1' is no whole number"),
        ("49,,route,true,,a:1:2:3:4:5", "is more than trunk:priority:weight:strip:add"),
        ("49,,route,true,,a:1:1:16", "the number of digits to strip 16: "),
        ("49,,route,true,,a:1:1::x", "the prefix to add 'x': Only + 0-9 * # A-D can be dialled"),
        ("49,,route,true", "has 4 cells where the header has 6"),
        ("49,,route,true,,a,b", "has 7 cells where the header has 6"),
        ('49,,route,true,"no"te,a', "this is no line of CSV"),
        ('49,,route,true,"note,a', "this is no line of CSV"),
        ("49,,route,true," + "n" * 140_000 + ",a", "this is no line of CSV"),
    ],
)
def test_a_bad_line_is_reported_by_its_number_with_its_reason(line, reason):
    deck = read("1,,route,true,,a\n" + line + "\n")
    assert [error.line for error in deck.errors] == [3]
    assert reason in deck.errors[0].reason
    assert list(deck.routes) == [("1", "")]


TIMES = "prefix,account,action,targets,valid_from,valid_until,schedule\n"


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("", None),
        ("2026-01-31T08:00:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31 08:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T08:00:00.5+02:00", datetime(2026, 1, 31, 6, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(cell, time):
    deck = read(f"49,,route,a,{cell},,\n50,,route,a,,{cell},\n", TIMES)
    assert deck.errors == ()
    assert deck.routes["49", ""].valid_from == deck.routes["50", ""].valid_until == time


def test_a_schedule_is_read_as_in_the_admin():
    deck = read('49,,route,a,,,"mon-fri 08:00-18:00, sat 09:00-12:00"\n', TIMES)
    assert deck.routes["49", ""].schedule == "mon-fri 08:00-18:00, sat 09:00-12:00"


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("soon,,", "valid_from 'soon': must be a time such as 2026-01-31T08:00:00Z"),
        (",2026-02-30,", "valid_until '2026-02-30': must be a time such as"),
        ("0001-01-01T00:00:00+14:00,,", "valid_from '0001-01-01T00:00:00+14:00': must be a time"),
        ("2026-02-01,2026-01-01,", "valid_until: This is not after the time from which"),
        (",,someday", "schedule 'someday': "),
    ],
)
def test_a_wrong_time_or_schedule_is_reported(cells, reason):
    (error,) = read(f"49,,route,a,{cells}\n", TIMES).errors
    assert reason in error.reason


def test_targets_may_rewrite_the_number():
    deck = read("49,,route,true,,a:1:100:2:00|b:2:::+\n")
    assert deck.routes["49", ""].targets == (
        TargetSpec(1, "a", 100, 2, "00"),
        TargetSpec(2, "b", 100, 0, "+"),
    )


def test_every_fault_of_a_line_is_said():
    (error,) = read("x,nobody,route,true,,c\n").errors
    assert str(error).startswith("line 2: prefix 'x': ")
    assert all(part in error.reason for part in ("; account 'nobody': ", "; targets 'c': "))


def test_a_route_that_stands_twice_is_an_error_that_names_both_lines():
    deck = read("49,,route,true,,a\n49,demo,route,true,,a\n49,,route,true,,b\n")
    assert [str(error) for error in deck.errors] == [
        "line 4: line 2 already has the route 49 of all"
    ]
    assert len(deck.routes) == 2


def test_lines_are_counted_as_an_editor_counts_them():
    deck = read('1,,route,true,"two\nlines",a\n\nx,,route,true,,a\n')
    assert [error.line for error in deck.errors] == [5]


def test_a_long_wrong_cell_is_shown_by_its_beginning():
    (error,) = read("49,,route,true,," + "t" * 10_000 + "\n").errors
    assert len(error.reason) < 300


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_spreadsheets_may_save_it_in_their_own_way(ending, delimiter, mark):
    text = (HEADER + "49,demo,route,true,Köln,a:1:70|b:1:30\n50,,block,true,,\n").translate(
        {ord(","): delimiter, ord("\n"): ending}
    )
    deck = parse(decode(mark + text.encode()), {"demo"}, {"a", "b"})
    assert deck.errors == ()
    assert [spec.note for spec in deck.routes.values()] == ["Köln", ""]


def test_columns_stand_in_any_order_and_optional_ones_may_be_left_out():
    deck = read("a,49,route,\n", header="Targets, prefix ,ACTION,account\n")
    assert list(deck.routes.values()) == [RouteSpec("49", "", targets=targets(("a", 1, 100)))]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The file is empty. The first line must name the columns: prefix,account,"),
        ("\n", "The file is empty."),
        ("49,,route,true,,a\n", "names columns that routes do not have: '49', "),
        ("prefix,account,action\n", "The first line lacks the columns targets."),
        ("prefix\taccount\taction\ttargets\n", "names columns that routes do not have"),
        ("prefix,account,action,targets,prefix\n", "The first line names prefix more than once."),
        ('"prefix\n', "The file's first line is no line of CSV"),
    ],
)
def test_a_wrong_header_refuses_the_file(text, sentence):
    with pytest.raises(FileRefused) as refusal:
        parse(text, (), ())
    assert sentence in str(refusal.value)


def test_a_file_in_another_encoding_is_refused_with_the_line():
    with pytest.raises(FileRefused, match="line 2 holds the byte 0xf6"):
        decode((HEADER + "49,,route,true,Köln,a\n").encode("latin-1"))


def test_progress_comes_to_the_number_of_lines():
    done = []
    parse(HEADER + "".join(f"{n},,route,true,,a\n" for n in range(2_500)), (), {"a"}, done.append)
    assert sum(done) == 2_500
    assert len(done) == 3
