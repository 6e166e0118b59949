"""A real call through a real Asterisk, seen and ended in the browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller


@pytest.mark.usefixtures("carrier")
def test_an_operator_sees_a_call_and_hangs_it_up(
    ringmaster: Ringmaster, caller: Caller, page: Page, picture: Callable[..., None]
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    running = caller.start("49200", talk_ms=30_000)
    running.wait_until_answered(1)
    (call,) = ringmaster.live_calls()

    page.goto("/admin/")
    expect(page.locator("#processes")).to_contain_text("lab listens")
    expect(page.locator(".rm-tile").first).to_contain_text("1")
    page.goto("/admin/calls/live/")
    row = page.locator("#live-form tbody tr")
    expect(row).to_contain_text(call.decode())
    expect(row).to_contain_text(re.compile("talking", re.IGNORECASE))
    row.get_by_role("button", name=re.compile("Hang up")).click()
    page.get_by_role("button", name="Hang up 1 call").click()
    expect(page.locator("body")).to_contain_text("Asked for the end of 1 call.")

    assert running.wait().seen[0].ended_by == "callee"
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by, cdr.reason) == (
        "answered",
        "admin",
        "hung up by superuser",
    )
    page.goto("/admin/calls/live/")
    expect(page.locator(".rm-empty")).to_contain_text("No call is up.")
    page.goto("/admin/cdr/cdr/")
    page.get_by_role("link", name="story").first.click()
    expect(page).to_have_url(re.compile(re.escape("/admin/calls/story/")))
    expect(page.locator("body")).to_contain_text("superuser")
