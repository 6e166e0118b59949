"""A code from an authenticator app is asked for after the password, and cannot be walked around."""

import pytest
from django.contrib.auth.models import User
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

SETUP = "/admin/second-factor/"
VERIFY = "/admin/verify/"
PAGES = ["/admin/", "/admin/calls/route/", "/admin/calls/explain/", "/admin/password_change/"]


@pytest.fixture
def set_up(staff, sign_in, client, code_of):
    """Signs in and sets the second factor up; gives the recovery codes, and signs out."""
    sign_in()
    client.get(SETUP)
    page = client.post(SETUP, {"code": code_of(staff)})
    codes = page.context["codes"]
    client.post("/admin/logout/")
    return codes


def unthrottled():
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)


def test_nobody_is_asked_who_has_not_set_it_up(staff, sign_in, client):
    sign_in()
    assert client.get("/admin/").status_code == 200


def test_setting_it_up_takes_a_right_code(staff, sign_in, client, code_of):
    sign_in()
    page = client.get(SETUP).content.decode()
    assert "data:image/svg+xml" in page
    right = code_of(staff)
    wrong = "000000" if right != "000000" else "111111"
    assert b"This code is wrong" in client.post(SETUP, {"code": wrong}).content
    assert not TOTPDevice.objects.filter(confirmed=True).exists()
    unthrottled()
    done = client.post(SETUP, {"code": right})
    assert len(done.context["codes"]) == 10
    assert TOTPDevice.objects.filter(confirmed=True).count() == 1
    # This session has just proved the app.
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_no_page_opens_before_the_code(set_up, sign_in, client, page):
    sign_in()
    answer = client.get(page)
    assert answer.status_code == 302
    assert answer["Location"].startswith(VERIFY)
    assert client.post(page, {"post": "yes"})["Location"].startswith(VERIFY)


@pytest.mark.parametrize("method", ["get", "post"])
def test_setting_up_another_one_is_no_way_around(set_up, sign_in, client, method):
    sign_in()
    answer = getattr(client, method)(SETUP, {"code": "123456"})
    assert answer["Location"].startswith(VERIFY)
    assert TOTPDevice.objects.count() == 1


def test_the_right_code_opens_the_page_that_was_asked_for(set_up, sign_in, client, staff, code_of):
    sign_in()
    asked = client.get("/admin/calls/route/")["Location"]
    answer = client.post(asked, {"code": code_of(staff, later=1), "next": "/admin/calls/route/"})
    assert answer["Location"] == "/admin/calls/route/"
    assert client.get("/admin/calls/route/").status_code == 200


def test_nobody_is_sent_elsewhere_after_the_code(set_up, sign_in, client, staff, code_of):
    sign_in()
    data = {"code": code_of(staff, later=1), "next": "https://evil.example/admin/"}
    assert client.post(VERIFY, data)["Location"] == "/admin/"


def test_a_code_counts_once(set_up, sign_in, client, staff, code_of):
    sign_in()
    code = code_of(staff, later=1)
    assert client.post(VERIFY, {"code": code}).status_code == 302
    client.post("/admin/logout/")
    sign_in()
    assert b"was used before" in client.post(VERIFY, {"code": code}).content


def test_codes_cannot_be_tried_out(set_up, sign_in, client, staff, code_of, caplog):
    sign_in()
    right = code_of(staff, later=1)
    for wrong in ("000001", "000002"):
        client.post(VERIFY, {"code": wrong})
    answer = client.post(VERIFY, {"code": right})
    assert answer.status_code == 200
    assert b"Too many wrong codes" in answer.content
    assert "A wrong second factor was given by 127.0.0.1 as 'kim'." in caplog.text
    assert right not in caplog.text


def test_a_recovery_code_stands_for_the_app_once(set_up, sign_in, client):
    for expected in (302, 200):
        sign_in()
        assert client.post(VERIFY, {"code": set_up[0]}).status_code == expected
        client.post("/admin/logout/")
    assert StaticToken.objects.count() == 9


def test_required_of_staff_it_must_be_set_up_before_anything_else(staff, sign_in, client, settings):
    settings.TWO_FACTOR = "required"
    sign_in()
    for page in PAGES:
        assert client.get(page)["Location"].startswith(SETUP)
    assert client.get(SETUP).status_code == 200


def test_removing_it_takes_a_code(set_up, sign_in, client, staff, code_of):
    sign_in()
    client.post(VERIFY, {"code": set_up[0]})
    client.post(SETUP, {"code": "zzzzzzzz", "remove": ""})
    assert TOTPDevice.objects.exists()
    client.post(SETUP, {"code": set_up[1], "remove": ""})
    # The wrong one throttles the recovery codes for a second.
    if TOTPDevice.objects.exists():
        client.post(SETUP, {"code": code_of(staff, later=1), "remove": ""})
    assert not TOTPDevice.objects.exists()


def test_an_administrator_takes_it_off_who_lost_a_telephone(set_up, admin_client, sign_in, client):
    kim = User.objects.get(username="kim")
    admin_client.post(
        "/admin/auth/user/", {"action": "remove_second_factor", "_selected_action": [kim.pk]}
    )
    sign_in()
    assert client.get("/admin/").status_code == 200


def test_no_page_shows_the_key_of_somebody_else(set_up, admin_client):
    for address in ("/admin/otp_totp/totpdevice/", "/admin/otp_static/staticdevice/"):
        assert admin_client.get(address).status_code == 404
