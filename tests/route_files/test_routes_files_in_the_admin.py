"""In the admin a file is uploaded, looked at, and imported only when it is confirmed."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile

from calls.admin import route_files
from calls.models import Route
from tests.route_files.conftest import HEADER

IMPORT = "/admin/calls/route/import/"
EXPORT = "/admin/calls/route/export/"


@pytest.fixture(autouse=True)
def bumps(monkeypatch):
    monkeypatch.setattr("calls.store.config_version.bump", lambda: True)


@pytest.fixture
def upload(configured):
    def upload(client, *lines, **options):
        data = (HEADER + "".join(f"{line}\n" for line in lines)).encode()
        file = SimpleUploadedFile("deck.csv", data)
        return client.post(IMPORT, {"file": file} | options)

    return upload


def carried(page):
    found = re.search(r'name="carried" value="([^"]+)"', page.content.decode())
    return found and found[1]


def test_a_file_is_looked_at_before_it_is_imported(admin_client, upload, add_route, routes):
    add_route("33", "a")
    page = upload(admin_client, "49,demo,route,true,,a:1:70|b:1:30", "33,,route,true,n,a")
    text = page.content.decode()
    assert "+ 49 of demo: a:1:70|b:1:30" in text
    assert "~ 33 of all: note none → n" in text
    assert list(routes()) == [("33", "")]

    done = admin_client.post(IMPORT, {"carried": carried(page)}, follow=True)
    assert done.redirect_chain == [("/admin/calls/route/", 302)]
    assert "Imported deck.csv: 1 added, 1 changed, 0 removed, 0 unchanged." in [
        str(message) for message in done.context["messages"]
    ]
    assert set(routes()) == {("33", ""), ("49", "demo")}
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.change_message) == (
        "routes of deck.csv",
        "Imported: 1 added, 1 changed, 0 removed, 0 unchanged.",
    )


def test_bad_lines_are_listed_and_nothing_can_be_confirmed(admin_client, upload):
    page = upload(admin_client, "49,,route,true,,a", "x,,route,true,,nowhere")
    text = page.content.decode()
    assert "line 3: prefix &#x27;x&#x27;: A prefix is made of up to 15 digits" in text
    assert "there is no trunk named &#x27;nowhere&#x27;" in text
    assert carried(page) is None


def test_the_good_lines_alone_are_imported_when_asked_for(admin_client, upload, routes):
    page = upload(admin_client, "49,,route,true,,a", "x,,route,true,,a", partial="on")
    assert "line 3: " in page.content.decode()
    admin_client.post(IMPORT, {"carried": carried(page)})
    assert list(routes()) == [("49", "")]


def test_missing_routes_are_deleted_when_asked_for(admin_client, upload, add_route, routes):
    add_route("33", "a")
    page = upload(admin_client, "49,,route,true,,a", delete_missing="on")
    assert "- 33 of all: a:1:100" in page.content.decode()
    admin_client.post(IMPORT, {"carried": carried(page)})
    assert list(routes()) == [("49", "")]


def test_a_file_without_a_change_has_nothing_to_confirm(admin_client, upload, add_route):
    add_route("49", "a")
    page = upload(admin_client, "49,,route,true,,a")
    assert carried(page) is None
    assert "There is nothing to import" in page.content.decode()


def test_a_preview_that_is_no_longer_true_is_shown_anew(admin_client, upload, add_route, routes):
    page = upload(admin_client, "49,,route,true,,a")
    add_route("49", "b")
    page = admin_client.post(IMPORT, {"carried": carried(page)})
    assert "Routes have been changed since the preview was made" in page.content.decode()
    assert "~ 49 of all: targets b:1:100 → a:1:100" in page.content.decode()
    assert routes()["49", ""][2] == [("b", 1, 100)]
    admin_client.post(IMPORT, {"carried": carried(page)})
    assert routes()["49", ""][2] == [("a", 1, 100)]


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("prefix\n", "The first line lacks the columns account, action, targets."),
        ("prefix,account,action,targets\n\xff", "The file is not UTF-8: line 2"),
        ("", "The submitted file is empty."),
    ],
)
def test_a_file_that_is_none_is_refused_on_the_form(admin_client, configured, header, sentence):
    file = SimpleUploadedFile("deck.csv", header.encode("latin-1"))
    page = admin_client.post(IMPORT, {"file": file})
    assert sentence in page.content.decode()
    assert carried(page) is None


def test_both_choices_at_once_are_refused(admin_client, upload):
    page = upload(admin_client, "49,,route,true,,a", partial="on", delete_missing="on")
    assert "Choose one of both" in page.content.decode()


@pytest.mark.parametrize("name", ["MAX_BYTES", "MAX_TOKEN"])
def test_a_file_too_long_for_a_web_request_is_refused(admin_client, upload, monkeypatch, name):
    monkeypatch.setattr(route_files, name, 50)
    page = upload(admin_client, *(f"{number},,route,true,,a" for number in range(50)))
    assert "manage.py import_routes, which takes any length" in " ".join(
        page.content.decode().split()
    )
    assert carried(page) is None


def test_what_is_confirmed_is_what_was_shown_here_to_this_user(
    admin_client, upload, django_user_model, client, routes
):
    page = upload(admin_client, "49,,route,true,,a")
    token = carried(page)
    forged = admin_client.post(IMPORT, {"carried": token[:-2] + "xx"})
    assert "not one made here" in forged.content.decode()
    other = django_user_model.objects.create_superuser("other", password="x")
    client.force_login(other)
    assert client.post(IMPORT, {"carried": token}).status_code == 403
    assert routes() == {}


def test_notes_and_names_are_escaped(admin_client, upload):
    page = upload(
        admin_client,
        "49,,route,true,<script>n</script>,a",
        "<script>p</script>,,route,true,,<script>t</script>",
        partial="on",
    ).content.decode()
    assert "&lt;script&gt;n&lt;/script&gt;" in page
    assert "&lt;script&gt;t&lt;/script&gt;" in page
    assert not re.search("<script>[npt]<", page)


def test_all_routes_are_exported(admin_client, add_route):
    add_route("49", "a", account="demo", note="=1+1")
    add_route("", "b")
    answer = admin_client.get(EXPORT)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="routes-\d{4}-\d\d-\d\d\.csv"', answer["Content-Disposition"]
    )
    assert b"".join(answer.streaming_content).decode() == (
        "\ufeffprefix,account,action,enabled,note,targets,valid_from,valid_until,schedule\r\n"
        ",,route,true,,b:1:100,,,\r\n"
        "49,demo,route,true,'=1+1,a:1:100,,,\r\n"
    )


def test_selected_routes_are_exported(admin_client, add_route):
    chosen = add_route("49", "a")
    add_route("33", "a")
    answer = admin_client.post(
        "/admin/calls/route/", {"action": "export_selected", "_selected_action": [chosen.pk]}
    )
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[1:] == ["49,,route,true,,a:1:100,,,"]


TARGETS = ("add_routetarget", "change_routetarget", "delete_routetarget")
SEEN = ("view_account", "view_trunk")


@pytest.mark.parametrize(
    ("permissions", "import_status", "export_status", "may_delete"),
    [
        ((), 403, 403, False),
        (("view_route",), 403, 403, False),
        (("view_route", "view_routetarget", *SEEN), 403, 200, False),
        (("add_route", "change_route"), 403, 403, False),
        (("add_route", "change_route", *TARGETS, *SEEN), 200, 200, False),
        (("add_route", "change_route", "delete_route", *TARGETS, *SEEN), 200, 200, True),
    ],
)
def test_who_may_do_what(
    client, django_user_model, upload, permissions, import_status, export_status, may_delete
):
    user = django_user_model.objects.create_user("staff", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    assert client.get(IMPORT).status_code == import_status
    assert upload(client, "49,,route,true,,a").status_code == import_status
    assert client.get(EXPORT).status_code == export_status
    assert ("delete_missing" in client.get(IMPORT).content.decode()) is may_delete


def test_nobody_deletes_by_a_field_that_was_not_offered(
    client, django_user_model, upload, add_route
):
    add_route("33", "a")
    user = django_user_model.objects.create_user("staff", password="x", is_staff=True)
    names = ("add_route", "change_route", *TARGETS, *SEEN)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    page = upload(client, "49,,route,true,,a", delete_missing="on")
    client.post(IMPORT, {"carried": carried(page)})
    assert set(Route.objects.values_list("prefix", flat=True)) == {"33", "49"}


def test_reading_a_bad_file_ends_after_a_thousand_bad_lines(admin_client, upload):
    page = upload(admin_client, *["x"] * 3000, "49,,route,true,,a", partial="on")
    text = page.content.decode()
    assert "line 1001: " in text
    assert "line 1002: " not in text
    assert "So many lines are bad that the rest was not read" in text
    # The good lines of the part that was not read would be missing.
    assert carried(page) is None
