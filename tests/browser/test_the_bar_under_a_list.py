"""The bar under a list is there while the list is wider than its frame, and only then."""

from playwright.sync_api import expect

from calls.models import Block

BAR = "[data-simplebar]:has(#result_list) > .simplebar-track.simplebar-horizontal"
WIDEN = "(list, width) => { list.style.width = width; }"


def test_it_comes_and_goes_as_the_list_changes(page, clean_redis):
    """As one does whose font is loaded after the page: wide first, and then it fits."""
    Block.objects.create(prefix="4930666")
    page.goto("/admin/calls/block/")
    bar, rows = page.locator(BAR), page.locator("#result_list")
    expect(bar).to_be_hidden()
    rows.evaluate(WIDEN, "3000px")
    expect(bar).to_be_visible()
    rows.evaluate(WIDEN, "")
    expect(bar).to_be_hidden()
