"""What another site's page, a link or a planted cookie could do with somebody's session."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice

from cdr.models import SavedView
from tests.access import reach
from tests.access.conftest import LOGIN, PASSWORD
from tests.access.test_roles import rows

__all__ = ["rows"]

ELSEWHERE = (
    "https://evil.example/",
    "//evil.example/",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "http:///evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "\x0b//evil.example",
    " //evil.example",
    "/admin/\r\nLocation: https://evil.example/",
)


@pytest.mark.migrated
def test_nothing_is_sent_without_the_forms_token(rows, clean_redis):
    """By every address there is, for somebody who may do everything."""
    cookies = reach.cookies_of(User.objects.create_superuser("root"))
    done = []
    for pattern in reach.patterns():
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        client.cookies.load(cookies)
        path = reach.address(pattern, rows)
        answer = client.post(path)
        # The API takes no cookie for a right: who sends no token of its own is told so.
        refused = (401, 403, 404, 405) if path.startswith("/api/") else (403, 405)
        if answer.status_code not in refused:
            done.append(f"{path}: {answer.status_code}")
    assert done == []


@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_address_leads_to_another_site(client, staff, target):
    view = SavedView.objects.create(owner=staff, name="x", query="")
    answers = [client.post(f"{LOGIN}", {"username": "kim", "password": PASSWORD, "next": target})]
    answers += [
        client.get("/admin/verify/", {"next": target}),
        client.post("/admin/verify/", {"next": target}),
        client.get(LOGIN, {"next": target}),
        client.post(f"/admin/cdr/cdr/views/{view.pk}/forget/", {"next": target}),
        client.post("/admin/cdr/cdr/views/", {"name": "x", "query": target}),
    ]
    for answer in answers:
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/"), answer["Location"]
        assert "\n" not in answer["Location"]


def test_a_session_that_somebody_planted_is_nobodys_after_the_sign_in(client, staff, sign_in):
    client.get(LOGIN)
    session = client.session
    session["planted"] = "yes"
    session.save()
    client.cookies["sessionid"] = planted = session.session_key

    sign_in()

    assert client.cookies["sessionid"].value != planted
    stranger = Client()
    stranger.cookies["sessionid"] = planted
    assert stranger.get("/admin/").status_code == 302


def test_a_session_of_a_password_alone_gets_nowhere_once_a_code_is_asked_for(staff, client):
    thief = Client()
    thief.force_login(staff)
    assert thief.get("/admin/").status_code == 200
    TOTPDevice.objects.create(user=staff, confirmed=True)

    for path in ("/admin/", "/admin/cdr/cdr/", "/admin/password_change/", "/metrics"):
        answer = thief.get(path, headers={"x-forwarded-for": "192.0.2.1"})
        assert (answer.status_code, answer.headers.get("Location", "")[:14]) == (
            302,
            "/admin/verify/",
        )


@pytest.mark.parametrize("path", ["/", "/admin/", LOGIN, "/api/v1/cdrs", "/api/nothing"])
def test_a_forged_host_is_answered_by_no_page(client, db, path):
    client.raise_request_exception = False
    for name in ("host", "x-forwarded-host"):
        answer = client.get(path, headers={name: "evil.example"})
        assert b"evil.example" not in answer.content
        assert "evil.example" not in answer.headers.get("Location", "")
    assert client.get(LOGIN, headers={"host": "evil.example"}).status_code == 400
