"""The live calls, looked at and hung up by hand."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from playwright.sync_api import expect

from calls.clock import wall_clock_ms
from calls.machine.events import HangupAsked, decode
from calls.machine.session import Phase
from tests.lab import live

PAGE = "/admin/calls/live/"
LOOK = ("calls.view_call",)
HANG_UP = ("calls.view_call", "calls.hangup_call")


@pytest.fixture
def calls(clean_redis):
    """Seventy calls of two accounts, on two nodes; five of them ring, one is being routed."""
    now_ms = wall_clock_ms()
    sessions = [
        live.session(
            number,
            now_ms=now_ms,
            node="pbx2" if number % 7 == 0 else "pbx1",
            account="beta" if number % 10 == 0 else "acme",
            trunk="carrier-b" if number % 3 == 0 else "carrier-a",
            phase=Phase.DIALLING if number < 5 else Phase.TALKING,
            seconds=10 + number * 7,
        )
        for number in range(69)
    ]
    sessions.append(live.session(69, now_ms=now_ms, phase=Phase.ROUTING, seconds=1))
    return live.put(clean_redis, sessions)


def asked(client, call):
    events = [decode(event) for event in client.lrange(f"ringmaster:mail:{call}", 0, -1)]
    return [event.by for event in events if isinstance(event, HangupAsked)]


def rows(page):
    return page.locator("#live-form tbody tr")


def test_calls_are_shown_a_page_at_a_time_the_longest_first(page, calls, picture):
    page.goto(PAGE)
    expect(page.locator("#live-summary")).to_contain_text("70 live calls")
    expect(rows(page)).to_have_count(50)
    expect(rows(page).first).to_contain_text(calls[68])
    picture(page, "live-calls")
    page.get_by_role("link", name="Next").click()
    expect(rows(page)).to_have_count(20)
    expect(rows(page).last).to_contain_text(calls[69])
    expect(rows(page).last).to_contain_text("routing")


def test_a_filter_narrows_the_list_and_stays_while_it_refreshes(page, calls):
    page.goto(PAGE)
    page.get_by_label("Account").select_option("beta")
    expect(page).to_have_url(re.compile("account=beta"))
    expect(rows(page)).to_have_count(7)
    page.get_by_label("Number").fill("49300000010")
    page.keyboard.press("Enter")
    expect(page.locator("#live-summary")).to_contain_text("1 of 70 live calls")


def test_a_call_that_begins_appears_by_itself_and_what_is_ticked_stays(page, calls, clean_redis):
    page.goto(f"{PAGE}?order=newest")
    page.get_by_label(re.compile("Tick the call")).first.check()
    new = live.session(700, now_ms=wall_clock_ms(), seconds=0)
    live.put(clean_redis, [new])
    expect(rows(page).first).to_contain_text(new.call_id)
    expect(page.get_by_label(re.compile("Tick the call")).nth(1)).to_be_checked()
    expect(page.locator("#hang-up-ticked")).to_have_text("Hang up 1 ticked")


def test_without_calls_it_says_so_and_where_past_ones_are(page, clean_redis, picture):
    page.goto(PAGE)
    expect(page.locator(".rm-empty")).to_contain_text("No call is up.")
    expect(page.locator(".rm-empty").get_by_role("link", name="call records")).to_be_visible()
    picture(page, "live-calls-empty")


def test_one_call_is_hung_up_after_it_is_confirmed(page_of, calls, clean_redis):
    page = page_of(None, *HANG_UP)
    page.goto(f"{PAGE}?number=49300000042")
    rows(page).get_by_role("button", name=re.compile("Hang up the call")).click()
    expect(page.locator("#question")).to_have_text("Hang up 1 call?")
    assert asked(clean_redis, calls[42]) == []
    page.get_by_role("button", name="Hang up 1 call").click()
    expect(page.locator("body")).to_contain_text("Asked for the end of 1 call.")
    assert asked(clean_redis, calls[42]) == ["nobody"]
    assert asked(clean_redis, calls[41]) == []
    entry = LogEntry.objects.get()
    assert (entry.user.username, calls[42] in entry.change_message) == ("nobody", True)


def test_several_calls_are_ticked_and_hung_up(page, calls, clean_redis, picture):
    page.goto(PAGE)
    for line in (0, 2):
        page.get_by_label(re.compile("Tick the call")).nth(line).check()
    page.locator("#hang-up-ticked").click()
    expect(page.locator("#question")).to_have_text("Hang up 2 calls?")
    picture(page, "live-calls-hang-up")
    page.get_by_role("button", name="Hang up 2 calls").click()
    expect(page.locator("body")).to_contain_text("Asked for the end of 2 calls.")
    ended = [call for call in calls if asked(clean_redis, call)]
    assert ended == [calls[66], calls[68]]


def test_all_calls_of_an_account_are_hung_up(page, calls, clean_redis):
    page.goto(f"{PAGE}?account=beta")
    page.get_by_role("button", name="Hang up all calls of beta").click()
    expect(page.locator("#question")).to_have_text("Hang up all 7 calls of account beta?")
    page.get_by_role("button", name="Hang up 7 calls").click()
    expect(page.locator("body")).to_contain_text("Asked for the end of 7 calls.")
    assert [call for call in calls if asked(clean_redis, call)] == calls[0:69:10]
    assert LogEntry.objects.get().object_repr == "7 all calls of account beta"


def test_who_may_only_look_is_offered_no_end(page_of, calls):
    page = page_of(None, *LOOK)
    page.goto(PAGE)
    expect(rows(page)).to_have_count(50)
    expect(page.get_by_role("button", name=re.compile("Hang up"))).to_have_count(0)


def test_a_redis_that_is_away_is_named(page, clean_redis, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = page.request.get(PAGE)
    assert answer.status == 503
    assert "Redis (REDIS_URL) does not answer" in answer.text()
