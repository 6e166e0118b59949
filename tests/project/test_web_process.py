"""What the web process answers."""

import pytest


def test_the_root_leads_to_the_admin(client):
    response = client.get("/")
    assert (response.status_code, response["Location"]) == (302, "/admin/")


def test_the_health_page_answers_without_a_database(client):
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


def test_the_admin_asks_for_a_login(client):
    response = client.get("/admin/")
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


def test_the_admin_cannot_be_framed(client, db):
    assert client.get("/admin/login/")["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "page",
    ["", "cdr/cdr/", "calls/account/", "calls/trunk/", "calls/route/", "auth/user/", "auth/group/"],
)
def test_every_page_of_the_admin_opens(admin_client, page):
    response = admin_client.get(f"/admin/{page}")
    assert response.status_code == 200
    assert b"Ringmaster" in response.content
