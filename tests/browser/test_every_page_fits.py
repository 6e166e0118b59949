"""Every page that the menu leads to, and what its lists lead to, on a phone and a small laptop."""

import pytest

from calls.clock import wall_clock_ms
from calls.models import (
    Account,
    Block,
    Drain,
    Limit,
    Route,
    RouteTarget,
    Trunk,
    WebhookEndpoint,
)
from calls.models.webhooks import EVENTS
from cdr import rollup
from cdr.writer import store
from tests.browser.conftest import CUT_OFF
from tests.browser.test_webhooks import told
from tests.lab import live
from tests.lab.traffic import calls

WINDOWS = [{"width": 1280, "height": 720}, {"width": 390, "height": 844}]
MENU = "a[href^='/admin/']:not([href*='logout'])"
LED_TO = ("#result_list tbody a[href*='/change/']", "#main a[href$='/add/']")
ADDRESSES = "all => [...document.querySelectorAll(all)].map(each => each.getAttribute('href'))"
LONG = "Acme Telecommunications (Deutschland) GmbH"
LONG_ADDRESS = f"https://hooks.example/services/{'T0123456789' * 12}"
HOUR_MS = 3_600_000


@pytest.fixture
def a_busy_switch(transactional_db, clean_redis):
    """Something of nearly everything, with names as long as people make them."""
    now_ms = wall_clock_ms()
    acme = Account.objects.create(code="acme", name=LONG)
    route = Route.objects.create(prefix="49", account=acme)
    for number, name in enumerate(("carrier-a", "wholesale-carrier-frankfurt-2"), start=1):
        trunk = Trunk.objects.create(name=name, dial_string=f"PJSIP/{{number}}@{name}", max_calls=9)
        RouteTarget.objects.create(route=route, trunk=trunk, priority=number)
    Limit.objects.create(scope="account", account=acme, metric="concurrent", value=40)
    Block.objects.create(prefix="4930666")
    Drain.objects.create(kind="trunk", trunk=trunk, why="A cable.")
    told()
    hook = WebhookEndpoint(name=LONG, url=LONG_ADDRESS, events=" ".join(EVENTS))
    hook.new_secret()
    hook.save()
    store(calls(60, now_ms - 12 * HOUR_MS, now_ms))
    rollup.add_up()
    node = "pbx-frankfurt-1"
    live.put(clean_redis, (live.session(n, now_ms=now_ms, node=node) for n in range(9)))


def test_no_page_is_wider_than_its_window_nor_cuts_off_what_it_does_not_explain(
    page, a_busy_switch
):
    """The menu's pages, and of each list the page of its first row and that to add one."""
    page.set_default_timeout(40_000)
    page.goto("/admin/")
    to_see = page.evaluate(ADDRESSES, MENU)
    seen, wrong = set(), []
    while to_see:
        address = to_see.pop(0)
        if address in seen:
            continue
        seen.add(address)
        page.goto(address)
        for window in WINDOWS:
            page.set_viewport_size(window)
            wrong += [f"{address}, {window['width']} px: {why}" for why in page.evaluate(CUT_OFF)]
        for links in LED_TO:
            to_see += page.evaluate(ADDRESSES, links)[:1]
    assert not wrong, "\n".join(wrong)
    assert "/admin/calls/limit/add/" in seen
