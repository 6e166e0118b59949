"""From signing in to why a call failed: three clicks at most."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller


class Hand:
    """Clicks, and counts."""

    def __init__(self) -> None:
        self.clicks = 0

    def click(self, what: Locator) -> None:
        what.click()
        self.clicks += 1


@pytest.mark.usefixtures("carrier")
def test_why_a_call_failed_is_told_within_three_clicks(
    ringmaster: Ringmaster, caller: Caller, page: Page, picture: Callable[..., None]
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    assert caller.call("49503").finals == [503]
    cdr = ringmaster.cdr()

    hand = Hand()
    page.goto("/admin/")
    hand.click(page.get_by_role("link", name="Call records").first)
    row = page.locator("#result_list tbody tr", has_text="49503")
    expect(row).to_contain_text("congestion", ignore_case=True)
    hand.click(row.get_by_role("link", name="story"))

    expect(page.locator("#main")).to_contain_text("answered 503")
    expect(page.locator("#main")).to_contain_text(cdr.call_id)
    expect(page.locator("svg").first).to_be_visible()
    assert hand.clicks <= 3
