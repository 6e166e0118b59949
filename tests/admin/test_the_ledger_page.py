"""The ledger in the admin: it balances or says what does not, and entries set aside are settled."""

import pytest
from django.contrib.admin.models import LogEntry

from calls.store import rejected
from cdr.models import Cdr
from cdr.stream import FIELD, REJECTED_STREAM, STREAM
from cdr.writer import store, store_begun
from tests.cdr.made_up import STARTED_MS, record

PAGE = "/admin/calls/ledger/"
DAY = {"day": "2025-10-09"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def aside(clean_redis):
    """A record, and an event with a hostile text, that were set aside."""
    clean_redis.xadd(REJECTED_STREAM, {FIELD: b"{not json", "reason": "It is not JSON."})
    values = {"call": "pbx1:<b>", "kind": "event", "reason": "<script>", "data": b"\x1b[2J<i>"}
    clean_redis.xadd(rejected.STREAM, values)
    ids = [clean_redis.xrange(name)[0][0].decode() for name in (REJECTED_STREAM, rejected.STREAM)]
    return [f"record {ids[0]}", f"other {ids[1]}"]


def test_a_day_that_balances_is_green(signed_in):
    store_begun([("pbx1:1", STARTED_MS)])
    store([record("pbx1:1")])
    page = signed_in("view_cdr").get(PAGE, DAY).content.decode()

    assert "rm-note-good" in page
    assert "Every call that began has its record" in page


def test_what_is_missing_is_listed_and_linked_to_its_story(signed_in):
    store_begun([("pbx1:1", STARTED_MS)])
    page = signed_in("view_cdr").get(PAGE, DAY).content.decode()

    assert "rm-note-bad" in page
    assert 'href="/admin/calls/story/pbx1%3A1/"' in page


def test_hostile_texts_are_shown_and_do_nothing(signed_in, aside):
    page = signed_in("view_cdr", "settle_cdr").get(PAGE).content.decode()

    assert "&lt;script&gt;" in page
    assert "<script>" not in page.partition('id="aside"')[2]
    assert r"\x1b[2J&lt;i&gt;" in page


def test_who_may_only_look_settles_nothing(signed_in, aside, clean_redis):
    client = signed_in("view_cdr")

    assert 'name="what"' not in client.get(PAGE).content.decode()
    assert client.post(PAGE, {"entry": aside, "what": "retry"}).status_code == 403
    assert clean_redis.xlen(REJECTED_STREAM) == 1


def test_a_record_is_retried_and_that_is_noted(signed_in, aside, clean_redis):
    client = signed_in("view_cdr", "settle_cdr")
    answer = client.post(PAGE, {"entry": aside[:1], "what": "retry"}, follow=True)

    assert b"Handed over again: 1 of the entries set aside." in answer.content
    assert clean_redis.xlen(STREAM) == 1
    assert LogEntry.objects.get().change_message == f"Handed over again: {aside[0]}"


def test_what_cannot_be_retried_says_why(signed_in, aside, clean_redis):
    client = signed_in("view_cdr", "settle_cdr")
    answer = client.post(PAGE, {"entry": aside[1:], "what": "retry"}, follow=True)

    assert b"is over: its event" in answer.content
    assert clean_redis.xlen(rejected.STREAM) == 1


@pytest.mark.parametrize(("sure", "left"), [({}, 1), ({"sure": "1"}, 0)])
def test_nothing_is_dropped_by_a_slip(signed_in, aside, clean_redis, sure, left):
    client = signed_in("view_cdr", "settle_cdr")
    client.post(PAGE, {"entry": aside, "what": "drop"} | sure)

    assert clean_redis.xlen(REJECTED_STREAM) == clean_redis.xlen(rejected.STREAM) == left


@pytest.mark.parametrize("day", ["", "x", "0001-01-01", "9999-12-31", "2025-02-30", "٣"])
def test_a_day_that_is_none_shows_a_page_all_the_same(signed_in, day):
    assert signed_in("view_cdr").get(PAGE, {"day": day}).status_code == 200


def test_without_redis_it_says_so(signed_in, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = signed_in("view_cdr").get(PAGE)

    assert answer.status_code == 503
    assert b"The ledger cannot be made up: Redis (REDIS_URL) does not answer." in answer.content
    assert not Cdr.objects.exists()
