"""/metrics names accounts and trunks: for this machine, for staff, and for those with the token."""

import pytest
from django.contrib.auth.models import User

TOKEN = "a-token-of-more-than-20-characters"
FAR = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture(autouse=True)
def _settings(settings, clean_redis):
    settings.METRICS_TOKEN = TOKEN


def test_this_machine_reads_them(client, db):
    answer = client.get("/metrics", REMOTE_ADDR="127.0.0.1")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert b"ringmaster_redis_up 1.0" in answer.content


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN])
def test_a_stranger_does_not(client, header):
    answer = client.get("/metrics", headers={"Authorization": header}, **FAR)
    assert answer.status_code == 401
    assert b"ringmaster_" not in answer.content


def test_who_sends_the_token_does(client, db):
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, **FAR)
    assert answer.status_code == 200


def test_without_a_token_in_the_settings_no_token_opens(client, settings):
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}, **FAR).status_code == 401


@pytest.mark.parametrize(("staff", "status"), [(True, 200), (False, 401)])
def test_staff_read_them_and_other_users_do_not(client, db, staff, status):
    client.force_login(User.objects.create_user("eve", is_staff=staff))
    assert client.get("/metrics", **FAR).status_code == status


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_proxy_on_this_machine_is_not_this_machine(client, header):
    answer = client.get("/metrics", headers={header: "127.0.0.1"}, REMOTE_ADDR="127.0.0.1")
    assert answer.status_code == 401


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_there_is_nothing_to_write(client, method):
    assert getattr(client, method)("/metrics").status_code == 405
