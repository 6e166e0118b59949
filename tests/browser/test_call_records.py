"""The list of call records and one record, with what leads on from it."""

import re

import pytest
from playwright.sync_api import expect

from calls.clock import wall_clock_ms
from cdr import rollup
from cdr.models import Cdr
from cdr.writer import store
from tests.lab.traffic import calls

LIST = "/admin/cdr/cdr/"


@pytest.fixture
def records(transactional_db):
    now_ms = wall_clock_ms()
    store(calls(120, now_ms - 3_600_000, now_ms))


def test_the_list_is_filtered_its_columns_chosen_and_the_view_saved(page, records, picture):
    page.goto(LIST)
    expect(page.locator(".rm-bar").first).to_contain_text("120 calls:")
    picture(page, "call-records")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("reason").check()
    page.get_by_role("checkbox", name="ended by").uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(page.locator("#result_list thead")).to_contain_text("Reason")
    page.get_by_text("Save this view", exact=True).click()
    page.get_by_label("Name").fill("With reasons")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(LIST)
    page.get_by_role("link", name="With reasons").click()
    expect(page.locator("#result_list thead")).to_contain_text("Reason")


def test_a_record_leads_to_all_that_has_to_do_with_it(page, records, picture):
    row = Cdr.objects.filter(answered_at__isnull=False).first()
    page.goto(f"{LIST}{row.pk}/change/")
    expect(page.locator("body")).to_contain_text(row.call_id)
    title = page.title()
    assert row.call_id in title
    picture(page, "call-record")
    page.get_by_role("link", name="Where would it go now?").click()
    expect(page).to_have_url(re.compile(f"number={row.callee_received}"))


def test_the_filtered_list_is_downloaded(page, records):
    page.goto(f"{LIST}?account=beta")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 1 + Cdr.objects.filter(account="beta").count()


def test_without_exports_the_page_says_how_to_order_one(page, transactional_db, picture):
    page.goto(f"{LIST}exports/")
    expect(page.locator(".rm-empty")).to_contain_text("You have ordered no export.")
    picture(page, "exports-empty")


def test_reports_by_trunk_and_hour_lead_to_their_records(page, records, picture):
    while rollup.add_up():
        pass
    page.goto("/admin/cdr/reports/")
    expect(page.locator("#report tbody tr")).to_have_count(2)
    picture(page, "report-by-trunk")
    page.get_by_role("link", name="Hour", exact=True).click()
    picture(page, "report-by-hour")
    page.locator("#report tbody a").first.click()
    expect(page.locator("#result_list tbody tr").first).to_be_visible()
