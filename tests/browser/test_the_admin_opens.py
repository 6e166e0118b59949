"""The admin's front door, and that its pages work without a fault in the browser."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from calls.models import Account, Route


def test_one_signs_in_and_sees_ones_name(browser, live_server, transactional_db):
    User.objects.create_superuser("alice", password="wonderland-7")
    context = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    page.goto("/admin/")
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password").fill("wonderland-7")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/admin/$"))
    expect(page.locator("body")).to_contain_text("alice")
    context.close()


def test_who_may_see_records_only_is_offered_records_only(page_of):
    page = page_of(None, "cdr.view_cdr")
    page.goto("/admin/")
    expect(page.get_by_role("link", name="Call records").first).to_be_visible()
    expect(page.get_by_role("link", name="Trunks")).to_have_count(0)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("calls/account", "Every call belongs to an account"),
        ("calls/trunk", "A trunk is a way out"),
        ("calls/route", "Without one every call is refused"),
        ("calls/block", "Nobody is blocked."),
        ("calls/limit", "A limit says how many calls"),
        ("cdr/cdr", "A call is recorded within a second"),
    ],
)
def test_an_empty_list_says_what_it_is_for_and_what_to_do_next(page, picture, model, words):
    page.goto(f"/admin/{model}/")
    expect(page.locator(".rm-empty")).to_contain_text(words)
    if model != "cdr/cdr":
        expect(page.locator(".rm-empty").get_by_role("link", name="Add")).to_be_visible()
    picture(page, f"{model.partition('/')[2]}-empty")


def test_what_is_searched_for_in_vain_offers_to_begin_again(page):
    page.goto("/admin/calls/account/?q=nobody")
    expect(page.locator(".rm-empty")).to_contain_text("Nothing here is like that.")
    page.get_by_role("link", name="begin again").click()
    expect(page.locator(".rm-empty")).to_contain_text("No account yet.")


def test_where_would_it_go_offers_the_accounts_and_prefixes_there_are(page, picture, clean_redis):
    Account.objects.create(code="acme", name="Acme Ltd.")
    Route.objects.create(prefix="4930", action=Route.Action.BLOCK)
    page.goto("/admin/calls/explain/")
    expect(page.locator("#accounts option")).to_have_attribute("value", "acme")
    expect(page.locator("#prefixes option")).to_have_attribute("value", "4930")
    page.locator("#id_number").fill("004930123")
    page.locator("#id_account").fill("acme")
    page.keyboard.press("Enter")
    expect(page.locator("#verdict")).to_be_visible()
    picture(page, "where-would-it-go")
