"""Five wrong sign-ins lock the name and the address for a quarter of an hour, and say so."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User

from project.access.address import client_address
from tests.access.conftest import PASSWORD

LIMIT = 5


def wrong(sign_in, times=LIMIT, **how):
    return [sign_in(password="wrong", **how) for _ in range(times)]


def test_the_right_password_gets_in(staff, sign_in):
    assert sign_in().status_code == 302


def test_the_fifth_wrong_one_is_told_of_the_lock_and_the_right_one_does_not_help(staff, sign_in):
    answers = wrong(sign_in)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    late = sign_in()
    assert late.status_code == 429
    assert b"for 15 minutes" in late.content


def test_a_name_is_locked_from_wherever_it_is_tried(staff, sign_in):
    for number in range(LIMIT):
        wrong(sign_in, 1, at=f"192.0.2.{number}")
    assert sign_in(at="198.51.100.9").status_code == 429


def test_an_address_is_locked_for_whatever_name_it_tries(staff, sign_in):
    for number in range(LIMIT):
        wrong(sign_in, 1, name=f"guess{number}", at="192.0.2.66")
    assert sign_in(at="192.0.2.66").status_code == 429
    assert sign_in(at="192.0.2.67").status_code == 302


def test_the_lock_looks_the_same_for_a_name_that_does_not_exist(staff, sign_in):
    known = wrong(sign_in, at="192.0.2.1")[-1]
    unknown = wrong(sign_in, name="nobody", at="192.0.2.2")[-1]
    assert unknown.status_code == known.status_code
    assert unknown.content.replace(b"nobody", b"kim") == known.content


def test_the_lock_opens_after_a_quarter_of_an_hour_however_often_it_was_tried(staff, sign_in):
    wrong(sign_in)
    for attempt in AccessAttempt.objects.all():
        attempt.attempt_time -= timedelta(minutes=14)
        attempt.save()
    assert wrong(sign_in, 3)[-1].status_code == 429
    for attempt in AccessAttempt.objects.all():
        attempt.attempt_time -= timedelta(minutes=2)
        attempt.save()
    assert sign_in().status_code == 302


def test_the_lock_is_logged_with_name_and_address(staff, sign_in, caplog):
    wrong(sign_in, at="192.0.2.77")
    locked = [r.getMessage() for r in caplog.records if "lock" in r.getMessage().lower()]
    assert any("kim" in line and "192.0.2.77" in line for line in locked)
    assert "wrong" not in " ".join(locked)


def test_the_lock_is_shown_in_the_admin_and_opened_there(staff, sign_in, admin_client):
    wrong(sign_in, at="192.0.2.78")
    page = admin_client.get("/admin/axes/accessattempt/")
    assert b"192.0.2.78" in page.content
    chosen = list(AccessAttempt.objects.values_list("pk", flat=True))
    admin_client.post(
        "/admin/axes/accessattempt/",
        {"action": "delete_selected", "_selected_action": chosen, "post": "yes"},
    )
    assert sign_in(at="192.0.2.78").status_code == 302


def test_a_success_begins_the_count_anew(staff, sign_in):
    wrong(sign_in, 4)
    assert sign_in().status_code == 302
    assert [answer.status_code for answer in wrong(sign_in, 4)] == [200] * 4


def test_a_client_cannot_choose_the_address_it_is_locked_by(staff, sign_in):
    for number in range(LIMIT):
        wrong(sign_in, 1, name=f"guess{number}", forwarded=f"203.0.113.{number}")
    assert sign_in(forwarded="203.0.113.99").status_code == 429
    assert set(AccessAttempt.objects.values_list("ip_address", flat=True)) == {"192.0.2.1"}


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(staff, sign_in, settings):
    settings.PROXIES = 1
    wrong(sign_in, 1, at="127.0.0.1", forwarded="203.0.113.1, 198.51.100.7")
    assert AccessAttempt.objects.get().ip_address == "198.51.100.7"


@pytest.mark.parametrize(
    ("header", "proxies", "address"),
    [
        ("198.51.100.7", 0, ""),
        ("198.51.100.7", 1, "198.51.100.7"),
        ("198.51.100.7", 2, ""),
        ("203.0.113.1, 198.51.100.7", 1, "198.51.100.7"),
        ("203.0.113.1, 198.51.100.7,10.0.0.1", 2, "198.51.100.7"),
        ("[2001:db8::1]", 1, "2001:db8::1"),
        ("", 1, ""),
        ("unknown", 1, ""),
        ("198.51.100.7, <script>", 1, ""),
    ],
)
def test_only_entries_of_own_proxies_are_believed(header, proxies, address):
    assert client_address(header, proxies) == address


def test_a_session_lasts_a_working_day(staff, sign_in, client):
    sign_in()
    assert client.session.get_expiry_age() == 10 * 3600


def test_the_lock_does_not_end_the_sessions_of_those_who_are_in(staff, sign_in, client):
    sign_in()
    key = client.cookies["sessionid"].value
    client.cookies.clear()
    wrong(sign_in)
    client.cookies["sessionid"] = key
    assert client.get("/admin/").status_code == 200


def test_who_edits_users_does_not_become_or_touch_a_superuser(staff, client, db):
    from django.contrib.auth.models import Permission

    editor = User.objects.create_user("editor", password=PASSWORD, is_staff=True)
    editor.user_permissions.set(
        Permission.objects.filter(codename__in=("view_user", "change_user", "delete_user"))
    )
    client.force_login(editor)
    own = f"/admin/auth/user/{editor.pk}/change/"
    assert b'name="is_superuser"' not in client.get(own).content
    client.post(
        own,
        {
            "username": "editor",
            "is_active": "on",
            "is_staff": "on",
            "is_superuser": "on",
            "date_joined_0": "2026-01-01",
            "date_joined_1": "00:00",
        },
    )
    editor.refresh_from_db()
    assert not editor.is_superuser
    assert client.post(f"/admin/auth/user/{staff.pk}/change/", {}).status_code == 403
    assert client.get(f"/admin/auth/user/{staff.pk}/password/").status_code == 403
    assert client.post(f"/admin/auth/user/{staff.pk}/delete/", {"post": "yes"}).status_code == 403
