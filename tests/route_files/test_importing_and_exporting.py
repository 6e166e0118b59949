"""import_routes changes the routes as the file says, or not at all; export_routes writes them."""

import io
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from calls.models import Route, RouteTarget, Trunk
from calls.route_files.store import ImportRefused, carry_out, draft, read

A = (True, "", [("a", 1, 100)])


@pytest.fixture
def run(configured):
    def run(*arguments, **options):
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command(*arguments, stdout=out, stderr=err, **options)
            failure = ""
        except CommandError as error:
            failure = str(error)
        return out.getvalue(), err.getvalue(), failure

    return run


def test_routes_are_added_and_changed_and_others_left_alone(run, file, routes, add_route):
    add_route("49", "a", note="old")
    add_route("49", "b", account="demo")
    add_route("33", "a")
    path = file("49,,route,true,new,b:1:70|a:1:30", "44,demo,route,false,,a")
    out, err, failure = run("import_routes", path)
    assert (out, err, failure) == (
        "Imported: 1 added, 1 changed, 0 removed, 0 unchanged.\n",
        "",
        "",
    )
    assert routes() == {
        ("49", ""): (True, "new", [("a", 1, 30), ("b", 1, 70)]),
        ("49", "demo"): (True, "", [("b", 1, 100)]),
        ("33", ""): A,
        ("44", "demo"): (False, "", [("a", 1, 100)]),
    }


def test_a_changed_route_stays_the_same_row(run, file, add_route):
    route = add_route("49", "a")
    run("import_routes", file("49,,block,true,,"))
    route.refresh_from_db()
    assert route.action == "block"
    assert not route.targets.exists()


def test_every_field_of_a_route_is_imported(run, file):
    header = "prefix,account,action,targets,valid_from,valid_until,schedule\n"
    for _ in range(2):
        line = "49,,route,a:1:100:2:00,2026-01-01,2027-01-01T06:00:00Z,mon-fri 08:00-18:00"
        run("import_routes", file(line, header=header))
        route = Route.objects.get()
        assert (route.valid_from, route.valid_until, route.schedule) == (
            datetime(2026, 1, 1, tzinfo=UTC),
            datetime(2027, 1, 1, 6, tzinfo=UTC),
            "mon-fri 08:00-18:00",
        )
        target = route.targets.get()
        assert (target.strip_digits, target.add_prefix) == (2, "00")
        # The second time, the same comes from a change instead of an addition.
        route.targets.update(strip_digits=0, add_prefix="")
        Route.objects.update(valid_from=None, valid_until=None, schedule="")


def test_nothing_is_imported_when_a_line_is_bad(run, file, routes):
    _out, err, failure = run("import_routes", file("49,,route,true,,a", "x,,route,true,,a"))
    assert routes() == {}
    assert err.startswith("line 3: prefix 'x': A prefix is made of up to 15 digits")
    assert failure == (
        "Nothing was imported: 1 bad line, 1 good one. --partial imports the good ones."
    )


def test_partial_imports_the_good_lines_and_reports_the_bad(run, file, routes):
    path = file("49,,route,true,,a", "x,,route,true,,a")
    _out, err, failure = run("import_routes", path, partial=True)
    assert routes() == {("49", ""): A}
    assert err.startswith("line 3: ")
    assert failure == ""


def test_a_dry_run_shows_the_first_50_changes_and_changes_nothing(run, file, routes, add_route):
    add_route("1", "a")
    before = routes()
    path = file("1,,route,true,n,a", *(f"49{number},,route,true,,a" for number in range(60)))
    out, _err, _failure = run("import_routes", path, dry_run=True)
    lines = out.splitlines()
    assert lines[0] == "+ 490 of all: a:1:100"
    assert lines[50] == "… and 11 more"
    assert lines[51] == (
        "Nothing was changed. An import would be: 60 added, 1 changed, 0 removed, 0 unchanged."
    )
    assert routes() == before


def test_a_dry_run_fails_where_the_import_would(run, file):
    _, err, failure = run("import_routes", file("x,,route,true,,a"), dry_run=True)
    assert err.startswith("line 2: ")
    assert failure == "1 bad line: only --partial would import the rest."


def test_routes_missing_in_the_file_are_deleted_when_asked_for(run, file, routes, add_route):
    add_route("33", "a", "b")
    add_route("49", "b", account="demo")
    out, _, _ = run("import_routes", file("49,,route,true,,a"), delete_missing=True)
    assert out == "Imported: 1 added, 0 changed, 2 removed, 0 unchanged.\n"
    assert routes() == {("49", ""): A}
    assert RouteTarget.objects.count() == 1


@pytest.mark.parametrize(
    ("lines", "options", "sentence"),
    [
        (["x,,route,true,,a"], {"dry_run": True}, "known only when all lines are good"),
        ([], {}, "The file has no routes"),
        (["49,,route,true,,a"], {"partial": True}, "do not go together"),
    ],
)
def test_routes_are_not_deleted_by_mistake(run, file, add_route, lines, options, sentence):
    add_route("33", "a")
    _, _, failure = run("import_routes", file(*lines), delete_missing=True, **options)
    assert sentence in failure
    assert Route.objects.get().prefix == "33"


def test_a_file_that_is_none_is_refused_with_a_sentence(run, tmp_path, file):
    assert "cannot be read: No such file" in run("import_routes", tmp_path / "none.csv")[2]
    assert "The first line lacks" in run("import_routes", file(header="prefix\n"))[2]


def test_the_workers_are_told_once_and_only_of_changes(
    run, file, bumps, django_capture_on_commit_callbacks
):
    path = file(*(f"{number},,route,true,,a" for number in range(30)))
    with django_capture_on_commit_callbacks(execute=True):
        run("import_routes", path)
    assert len(bumps) == 1
    with django_capture_on_commit_callbacks(execute=True):
        run("import_routes", path, dry_run=True)
        run("import_routes", path)
    assert len(bumps) == 1


@pytest.mark.django_db(transaction=True)
def test_an_import_without_redis_says_that_workers_were_not_told(run, file, routes, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    out, _, failure = run("import_routes", file("49,,route,true,,a"))
    assert out.startswith("Imported: 1 added")
    assert "Redis (REDIS_URL) could not be told" in failure
    assert routes() == {("49", ""): A}


def test_an_import_that_was_agreed_to_is_refused_when_routes_changed_since(file, add_route):
    deck = read(file("49,,route,true,,a").read_text())
    digest = draft(deck).diff.digest()
    add_route("49", "b")
    with pytest.raises(ImportRefused, match="Routes have been changed since the preview"):
        carry_out(deck, expected=digest)
    assert Route.objects.get().targets.get().trunk.name == "b"


def test_only_the_trunks_that_differ_are_written(run, file, routes, add_route):
    route = add_route("49", "a", "b")
    before = {target.trunk.name: target.pk for target in route.targets.all()}
    Trunk.objects.create(name="c", dial_string="PJSIP/{number}@c")
    run("import_routes", file("49,,route,true,,a:1|c:2"))
    assert routes()["49", ""][2] == [("a", 1, 100), ("c", 2, 100)]
    assert route.targets.get(trunk__name="a").pk == before["a"]


def test_a_trunk_that_goes_away_while_the_file_is_read_stops_the_import(file, routes, configured):
    deck = read(file("49,,route,true,,b").read_text())
    Trunk.objects.get(name="b").delete()
    with pytest.raises(ImportRefused, match="'b' was renamed or deleted"):
        carry_out(deck)
    assert routes() == {}


def test_what_is_exported_is_imported_without_a_change(run, tmp_path, add_route):
    add_route("", "a", "b")
    add_route("49", "b", account="demo", note="=cmd|' /C calc'!A0", enabled=False)
    add_route("1900", action="block", valid_from=datetime(2026, 1, 1, tzinfo=UTC))
    route = add_route("33", "a", schedule="mon-fri 08:00-18:00, sat 09:00-12:00")
    route.targets.update(strip_digits=2, add_prefix="+")
    path = tmp_path / "out.csv"
    assert run("export_routes", path)[1] == f"4 routes written to {path}.\n"
    assert "'=cmd" in path.read_text()
    out, _, failure = run("import_routes", path, delete_missing=True)
    assert (out, failure) == ("Imported: 0 added, 0 changed, 0 removed, 4 unchanged.\n", "")


def test_routes_are_exported_to_standard_output(run, add_route):
    add_route("49", "a")
    assert run("export_routes")[0] == (
        "prefix,account,action,enabled,note,targets,valid_from,valid_until,schedule\r\n"
        "49,,route,true,,a:1:100,,,\r\n"
    )


def test_a_file_that_cannot_be_written_is_reported_and_leaves_nothing(run, tmp_path, add_route):
    add_route("49", "a")
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "cannot be written" in run("export_routes", folder)[2]
    assert list(tmp_path.iterdir()) == [folder]


def test_statements_grow_by_the_thousand_and_not_by_the_route(
    file, configured, django_assert_max_num_queries
):
    deck = read(file(*(f"{number},,route,true,,a|b" for number in range(3_000))).read_text())
    with django_assert_max_num_queries(150):
        carry_out(deck)
    assert RouteTarget.objects.count() == 6_000
