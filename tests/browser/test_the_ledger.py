"""The ledger in a browser: what does not balance, and an entry that is handed over again."""

import threading

import pytest
from playwright.sync_api import expect

from calls.clock import wall_clock_ms
from calls.store import ledger_light, rejected
from calls.store.mailbox import ATTEND
from cdr.record import Disposition, Integrity
from cdr.stream import FIELD, REJECTED_STREAM
from cdr.writer import store, store_begun
from tests.cdr.made_up import record

PAGE = "/admin/calls/ledger/"
NO_WAIT = threading.Event()
NO_WAIT.set()


@pytest.fixture
def day(clean_redis, transactional_db):
    """Forty calls of now, of which one is missing, one up, two recovered and one has a double."""
    now_ms = wall_clock_ms()
    calls = [f"pbx1:1763900000.{number}" for number in range(40)]
    store_begun((call, now_ms) for call in calls)
    store(record(call, started_ms=now_ms, ended_ms=now_ms) for call in calls[4:])
    found = {"started_ms": now_ms, "ended_ms": now_ms, "integrity": Integrity.RECOVERED}
    store(record(call, **found) for call in calls[2:4])
    clean_redis.zadd(ATTEND, {calls[0]: now_ms})
    twice = record(calls[5], started_ms=now_ms, disposition=Disposition.BUSY)
    reason = f"Call {calls[5]!r} has a record already, which says otherwise."
    clean_redis.xadd(REJECTED_STREAM, {FIELD: twice.to_json(), "reason": reason, "kind": "double"})
    clean_redis.xadd(REJECTED_STREAM, {FIELD: b"{not json", "reason": "It is not JSON."})
    values = {"call": calls[0], "kind": "event", "reason": "which is no event.", "data": b'["x"]'}
    clean_redis.xadd(rejected.STREAM, values)
    return clean_redis


def test_what_does_not_balance_is_listed_and_an_entry_is_handed_over_again(page, day, picture):
    page.goto(PAGE)
    expect(page.locator("#balance td")).to_have_text(["40", "38", "1", "0", "0", "1"])
    expect(page.get_by_role("link", name="pbx1:1763900000.1", exact=True)).to_be_visible()
    picture(page, "ledger")

    page.get_by_role("row", name="It is not JSON.").get_by_role("checkbox").check()
    page.get_by_role("button", name="Retry ticked").click()
    expect(page.locator("#main")).to_contain_text("Handed over again: 1 of the entries set aside.")
    expect(page.locator("#aside tbody tr")).to_have_count(2)


def test_a_day_without_calls_is_green(page, clean_redis, transactional_db, picture):
    page.goto(PAGE)
    expect(page.locator("#verdict")).to_contain_text("Nothing is missing, double or rejected.")
    picture(page, "ledger-green")


def test_the_light_on_the_dashboard_is_red_while_the_ledger_does_not_balance(page, day, picture):
    ledger_light.check(NO_WAIT)
    page.goto("/admin/")
    card = page.get_by_role("region", name="Ledger")
    expect(card).to_contain_text("does not balance")
    expect(card).to_contain_text("1 call of")
    expect(card).to_contain_text("Checked")
    expect(page.locator("#wrong")).to_contain_text("The ledger does not balance: 1 call of")
    picture(page, "dashboard-ledger-red")
    card.get_by_role("link", name="Ledger").click()
    expect(page.locator("#verdict")).to_contain_text("what is listed below needs a look")


def test_the_light_turns_green_by_itself_once_it_balances(page, clean_redis, transactional_db):
    store_begun([("pbx1:1", wall_clock_ms())])
    ledger_light.check(NO_WAIT)
    page.goto("/admin/")
    card = page.get_by_role("region", name="Ledger")
    expect(card).to_contain_text("does not balance")
    store([record("pbx1:1", started_ms=wall_clock_ms(), ended_ms=wall_clock_ms())])
    ledger_light.check(NO_WAIT)
    expect(card).to_contain_text("All 1 call of today and yesterday have their record")
    expect(page.locator("#wrong")).not_to_contain_text("ledger")
