"""A test call from a trunk's page, through a real Asterisk to a real callee, and its story."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from calls.models import Trunk
from tests.integration.conftest import Ringmaster
from tests.lab.sip import Carrier


@pytest.fixture
def form(ringmaster: Ringmaster, page: Page, settings) -> Page:
    """The form, come to from the page of a trunk that no route names."""
    settings.ARI_NODES = {ringmaster.asterisk.node: None}
    ringmaster.account(phones="phone-answers phone-busy", allowed_prefixes="49", country_code="49")
    trunk = Trunk.objects.create(name="carrier-new", dial_string="PJSIP/{number}@carrier-a")
    page.goto(f"/admin/calls/trunk/{trunk.pk}/change/")
    page.get_by_role("link", name="Test call").click()
    expect(page.locator("#test-call")).to_be_visible()
    return page


def told(page: Page, words: str) -> None:
    expect(page).to_have_url(re.compile("/admin/calls/story/"))
    expect(page.locator("#sentence")).to_contain_text(words)


def test_the_callee_hears_a_sound_and_the_story_is_shown(
    ringmaster: Ringmaster, form: Page, carrier: Carrier, picture: Callable[..., None]
) -> None:
    form.get_by_label("Number").fill("+33123")
    form.get_by_role("button", name="Call").click()
    expect(form.locator("#test-call")).to_contain_text("account demo may not call 33123")
    form.goto(form.url)
    form.get_by_label("Number").fill("+4930299")
    picture(form, "test-call")
    form.get_by_role("button", name="Call").click()

    told(form, "they talked")
    expect(form.locator("#sentence")).to_contain_text("Test call by superuser: nobody calls")
    expect(form.locator("svg.rm-ladder")).to_contain_text("play tt-monkeys")
    expect(form.locator("svg.rm-ladder")).to_contain_text("superuser orders a call from nobody")
    picture(form, "story-of-a-test-call")
    cdr = ringmaster.cdr()
    assert (cdr.trunk, cdr.disposition, cdr.ended_by) == ("carrier-new", "answered", "callee")
    carrier.wait_for("4930299", "BYE-SENT")


def test_a_phone_is_called_first_and_its_story_says_that_it_was_busy(
    ringmaster: Ringmaster, form: Page, carrier: Carrier, picture: Callable[..., None]
) -> None:
    form.get_by_label("Number").fill("+4930200")
    form.get_by_label("Who calls").select_option("demo/phone-busy")
    form.get_by_role("button", name="Call").click()

    told(form, "Ordered by superuser; phone phone-busy was busy, so nobody was called.")
    picture(form, "story-of-a-busy-phone")
    assert ringmaster.cdr().disposition == "busy"
    assert carrier.seen("4930200") == []
