"""Times are shown, and read from filters, in the zone that the browser names; UTC otherwise."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from cdr.display import Form, moment
from cdr.writer import store
from project.zones import COOKIE, named
from tests.cdr.made_up import record

AT = datetime(2026, 7, 1, 22, 30, 5, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Form.SECONDS, "2026-07-02 00:30:05"),
        (Form.EXACT, "2026-07-02 00:30:05.123"),
        (Form.CLOCK, "00:30:05"),
    ],
)
def test_a_time_is_written_in_the_active_zone_with_utc_on_hover(form, text):
    with timezone.override("Europe/Berlin"):
        shown = moment(AT, form)
    assert f">{text}</time>" in shown
    assert 'title="2026-07-01 22:30:05.123 UTC"' in shown
    assert 'datetime="2026-07-01T22:30:05.123+00:00"' in shown


@pytest.mark.parametrize(
    "text", ["", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "\0", "a" * 65, "%00", "Europe"]
)
def test_what_is_no_zone_is_none(text):
    assert named(text) is None


def test_a_zone_is_read_as_a_browser_writes_it():
    assert str(named("America%2FNew_York")) == "America/New_York"


def test_a_filters_dates_are_the_viewers(admin_client):
    # 2025-10-09 08:53:20 UTC is the same day in Berlin, and the day before in Honolulu's evening.
    store([record("pbx1:1")])
    query = {"started_at_from_0": "2025-10-08", "started_at_to_0": "2025-10-08"}
    page = "/admin/cdr/cdr/"
    assert b"pbx1:1" not in admin_client.get(page, query).content
    assert admin_client.get(page, query).context["cl"].result_count == 0
    admin_client.cookies[COOKIE] = "Pacific%2FHonolulu"
    assert admin_client.get(page, query).context["cl"].result_count == 1
    assert admin_client.get(page, query).status_code == 200
