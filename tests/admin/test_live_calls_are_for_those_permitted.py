"""Who may see live calls, and who may end them."""

import pytest

from calls.clock import wall_clock_ms
from tests.lab import live

PAGE = "/admin/calls/live/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def call(clean_redis):
    (call,) = live.put(clean_redis, [live.session(1, now_ms=wall_clock_ms())])
    return call


def test_nobody_in_particular_is_sent_to_the_log_in(client):
    assert client.get(PAGE)["Location"].startswith("/admin/login/")


def test_without_the_permission_the_page_is_refused(signed_in):
    assert signed_in("view_cdr").get(PAGE).status_code == 403


def test_who_may_only_look_cannot_end_a_call_by_hand_made_post(signed_in, call, clean_redis):
    answer = signed_in("view_call").post(PAGE, {"call": call, "confirmed": "1"})
    assert answer.status_code == 403
    assert clean_redis.llen(f"ringmaster:mail:{call}") == 0


def test_a_post_without_confirmation_only_asks(signed_in, call, clean_redis):
    answer = signed_in("view_call", "hangup_call").post(PAGE, {"call": call})
    assert b"Hang up 1 call?" in answer.content
    assert clean_redis.llen(f"ringmaster:mail:{call}") == 0


def test_a_call_that_is_over_meanwhile_is_said_to_be(signed_in, clean_redis):
    answer = signed_in("view_call", "hangup_call").post(
        PAGE, {"call": "pbx1:9.9", "confirmed": "1"}, follow=True
    )
    assert b"None of these calls is up any more." in answer.content


@pytest.mark.parametrize("number", ["0", "-1", "99999999999", "x", "٣"])
def test_a_page_number_that_is_none_shows_a_page_all_the_same(signed_in, call, number):
    answer = signed_in("view_call").get(PAGE, {"page": number, "account": "\x01", "state": "?"})
    assert answer.status_code == 200


def test_hostile_numbers_are_escaped(signed_in, clean_redis):
    live.put(clean_redis, [live.session(1, now_ms=wall_clock_ms(), callee="<script>alert(1)")])
    assert b"<script>alert(1)" not in signed_in("view_call").get(PAGE).content
