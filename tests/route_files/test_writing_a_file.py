"""What is exported does no harm in a spreadsheet and is read back as it was."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.route_files.diff import Diff, compare
from calls.route_files.reading import parse
from calls.route_files.spec import RouteSpec, TargetSpec
from calls.route_files.writing import to_lines

NOTES = st.one_of(
    st.sampled_from(["=1+1", "'=1", "''", "'", "-", "\t=1", "\r", "\n", "@x", "+", "a\r\nb", " "]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200),
)
NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=64
).filter(lambda name: name == name.strip())
TARGETS = st.lists(
    st.builds(
        TargetSpec,
        st.integers(1, 999),
        NAMES,
        st.integers(1, 1000),
        st.integers(0, 15),
        st.from_regex(r"\A[+0-9*#A-D]{0,16}\Z"),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda target: target.trunk,
).map(lambda targets: tuple(sorted(targets)))
ROUTES = st.lists(
    st.builds(
        RouteSpec,
        st.from_regex(r"\A[0-9]{0,15}\Z"),
        st.from_regex(r"\A[A-Za-z0-9._@+-]{0,80}\Z"),
        st.sampled_from(["route", "block"]),
        st.booleans(),
        NOTES,
        TARGETS,
        st.none() | st.datetimes(max_value=datetime(2026, 1, 1), timezones=st.just(UTC)),
        st.none() | st.datetimes(min_value=datetime(2026, 1, 2), timezones=st.just(UTC)),
        st.sampled_from(["", "mon-fri 08:00-18:00, sat 09:00-12:00", "daily 22:00-06:00"]),
    ),
    max_size=5,
    unique_by=lambda spec: spec.key,
)


@given(ROUTES)
def test_any_routes_come_back_as_they_were(routes):
    text = "".join(to_lines(routes))
    accounts = {spec.account for spec in routes}
    trunks = {target.trunk for spec in routes for target in spec.targets}
    deck = parse(text, accounts, trunks)
    assert deck.errors == ()
    assert list(deck.routes.values()) == routes


@given(ROUTES)
def test_no_cell_runs_as_a_formula(routes):
    for row in csv.reader(io.StringIO("".join(to_lines(routes)), newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def test_a_line_reads_as_people_write_it():
    spec = RouteSpec(
        "49",
        "demo",
        note="=x",
        targets=(TargetSpec(1, "a", 70), TargetSpec(2, "b", 1, 2, "00")),
        valid_from=datetime(2026, 1, 31, 8, tzinfo=UTC),
        schedule="daily",
    )
    assert list(to_lines([spec])) == [
        "prefix,account,action,enabled,note,targets,valid_from,valid_until,schedule\r\n",
        "49,demo,route,true,'=x,a:1:70|b:2:1:2:00,2026-01-31T08:00:00Z,,daily\r\n",
    ]


def spec(prefix, **changes):
    return RouteSpec(prefix, "", **({"targets": (TargetSpec(1, "a", 100),)} | changes))


def deck_of(*routes, columns="prefix,account,action,enabled,note,targets"):
    rows = list(csv.DictReader(io.StringIO("".join(to_lines(routes)), newline="")))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns.split(","), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return parse(out.getvalue(), {"demo"}, {"a", "b"})


def test_the_difference_is_what_is_added_changed_and_removed():
    same, old, new, added = spec("1"), spec("2"), spec("2", note="n"), spec("3")
    gone = spec("4")
    diff = compare(deck_of(same, new, added), {r.key: r for r in (same, old, gone)}, [gone])
    assert diff == Diff((added,), ((old, new),), (gone,), 1)
    assert str(diff) == "1 added, 1 changed, 1 removed, 1 unchanged"
    assert list(diff.lines(50)) == [
        "+ 3 of all: a:1:100",
        "~ 2 of all: note none → n",
        "- 4 of all: a:1:100",
    ]
    assert list(diff.lines(2)) == list(diff.lines(50))[:2]


def test_a_column_that_is_left_out_keeps_what_is_there():
    old = spec("2", note="kept", enabled=False)
    deck = deck_of(spec("2"), columns="prefix,account,action,targets")
    assert compare(deck, {old.key: old}) == Diff(unchanged=1)
    deck = deck_of(spec("2", note="x"), columns="prefix,account,action,note,targets")
    ((_, new),) = compare(deck, {old.key: old}).changed
    assert (new.note, new.enabled) == ("x", False)


def test_a_difference_cannot_steer_the_terminal_it_is_shown_on():
    (line,) = Diff(added=(spec("1", note="\x1b[2J\u202e"),)).lines(1)
    assert "\x1b" not in line
    assert "\u202e" not in line


@pytest.mark.parametrize(
    "other", [spec("1", note="x"), spec("1", enabled=False), spec("2"), spec("1", action="block")]
)
def test_differences_have_the_same_digest_only_when_they_are_the_same(other):
    first = Diff(added=(spec("1"),))
    assert first.digest() == Diff(added=(spec("1"),)).digest()
    assert first.digest() != Diff(added=(other,)).digest()
    assert first.digest() != Diff(removed=first.added).digest()
