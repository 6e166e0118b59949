"""What keeps accounts from costing money, in a real browser: their form, alarms, and the stop."""

from datetime import UTC, datetime

from playwright.sync_api import expect

from calls.models import Account, Alarm, Trunk


def test_an_account_says_what_it_may_do(page, picture, clean_redis):
    account = Account.objects.create(
        code="acme",
        name="Acme Ltd.",
        country_code="49",
        national_prefix="0",
        caller_id="4930200300",
        allowed_prefixes="own 33",
        allowed_callers="4930200",
    )
    page.goto(f"/admin/calls/account/{account.pk}/change/")
    expect(page.get_by_text("What it may do")).to_be_visible()
    picture(page, "account")


def test_a_trunk_says_how_it_reads_numbers(page, picture, clean_redis):
    trunk = Trunk.objects.create(
        name="carrier-a", dial_string="PJSIP/{number}@carrier-a", tech_prefix="7799#"
    )
    page.goto(f"/admin/calls/trunk/{trunk.pk}/change/")
    expect(page.get_by_label("technical prefix", exact=False)).to_have_value("7799#")
    picture(page, "trunk-numbers")


def test_an_alarm_leads_to_the_stop_of_an_account(page, picture, clean_redis):
    Account.objects.create(code="acme", name="Acme Ltd.")
    now = datetime(2026, 11, 25, 3, 20, tzinfo=UTC)
    Alarm.objects.create(account="acme", kind="calls", at=now, seen=412, usual=37)
    Alarm.objects.create(
        account="acme", kind="countries", at=now, seen=19, usual=2, looked_at_by="alice"
    )
    page.goto("/admin/calls/alarm/")
    expect(page.get_by_text("412")).to_be_visible()
    picture(page, "alarms")

    page.goto("/admin/calls/account/")
    page.locator("input.action-select").first.check()
    page.locator("select[name=action]").select_option("stop_accounts")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#question")).to_contain_text("End all calls of acme and disable it?")
    picture(page, "account-stop")
    page.get_by_role("button", name="End all calls and disable").click()
    expect(page.locator("body")).to_contain_text("acme: disabled; asked for the end of 0 calls.")
    assert not Account.objects.get(code="acme").enabled
