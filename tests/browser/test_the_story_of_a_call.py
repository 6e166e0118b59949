"""A call's story in a real browser: told, stepped through, forked, and live."""

import re

import pytest
from playwright.sync_api import expect

from calls.clock import wall_clock_ms
from calls.limits.rules import Skip
from calls.machine.events import ChannelAnswered, ChannelRinging, Reserved
from calls.routing.targets import Skipped
from cdr.links import story_url
from tests.machine.world import CALL, A, b, plan, rule, target
from tests.story.journals import begun, over
from tests.story.keeping import keep, keep_real_call, put_live

PAGE = f"/admin/calls/story/{CALL}/"
THREE = plan(target("carrier-a"), target("carrier-b"), target("carrier-c"))


@pytest.fixture
def hunted(transactional_db):
    """One trunk full, the next failing, a third that rings until the caller gives up."""
    full = Reserved(0, (Skip("carrier-a", Skipped.FULL, "trunk carrier-a is full"),))
    world = begun(found=THREE, rules=(rule(),), answers=[full])
    world.now_ms += 400
    world.end(b(2), 34, 503)
    world.hear_all()
    world.ring(b(3))
    world.another_worker("w2.7")
    world.hear_all()
    world.now_ms += 12_000
    world.end(A, 127)
    keep(over(world))
    return world


def test_a_story_says_it_in_a_sentence_and_shows_it_on_a_ladder(page, hunted, picture):
    page.goto(PAGE)
    expect(page.locator("#sentence")).to_have_text(
        "Trunk carrier-a was full, then carrier-b answered 503 after 0.4 s, then carrier-c rang "
        "12 s; the caller hung up."
    )
    ladder = page.locator("svg.rm-ladder")
    for name in ("caller", "Asterisk", "Ringmaster", "carrier-b", "carrier-c"):
        expect(ladder.locator("text.rm-who", has_text=name).first).to_be_visible()
    expect(ladder).to_contain_text("12 s later")
    picture(page, "story")


def test_it_is_stepped_through_and_forked(page, hunted, picture):
    page.goto(PAGE)
    page.locator(".rm-decisions tr", has_text="b ringing").get_by_role("link").click()
    expect(page.locator("#at")).to_contain_text("b ringing")
    expect(page.locator("#state")).to_contain_text("dialling")
    page.get_by_label("What else happens").select_option("486")
    page.get_by_role("button", name="What would have followed?").click()
    expect(page.locator("#forked")).to_contain_text("carrier-c answered 486")
    expect(page.locator("#forked")).to_contain_text("the caller heard 486")
    picture(page, "story-debugger")
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#at")).not_to_contain_text("b ringing")


def test_an_event_on_the_ladder_leads_to_its_step(page, hunted):
    page.goto(PAGE)
    page.locator("svg.rm-ladder a", has_text="is gone, cause 34").click()
    expect(page.locator("#at")).to_contain_text("b destroyed")
    expect(page.locator("svg.rm-ladder .rm-chosen").first).to_be_attached()


def test_a_ladder_is_zoomed(page, hunted):
    page.goto(PAGE)
    usual = page.locator("svg.rm-ladder").bounding_box()["width"]
    page.get_by_role("link", name="60 %").click()
    expect(page).to_have_url(re.compile("zoom=60"))
    assert page.locator("svg.rm-ladder").bounding_box()["width"] == pytest.approx(
        usual * 0.6, abs=2
    )


def test_a_live_story_goes_on_by_itself(page, clean_redis, picture):
    world = begun(wall_clock_ms() - 4_000)
    put_live(clean_redis, world)
    page.goto(PAGE)
    expect(page.locator("#sentence")).to_contain_text("has been called for")
    put_live(clean_redis, world, ChannelRinging(b(), world.now_ms + 300))
    expect(page.locator("#sentence")).to_contain_text("has rung for")
    picture(page, "story-live")
    put_live(clean_redis, world, ChannelAnswered(b(), world.now_ms + 900))
    expect(page.locator("#sentence")).to_contain_text("they have talked for")


def test_a_live_story_says_that_the_call_is_over_once_it_is(page, clean_redis, transactional_db):
    world = begun()
    put_live(clean_redis, world)
    page.goto(PAGE)
    expect(page.locator("#content-main")).to_contain_text("This call is up.")
    world.end(A, 127)
    clean_redis.flushdb()
    keep(over(world))
    expect(page.locator("#content-main")).to_contain_text("This call is over.")
    expect(page.locator("#content-main")).not_to_contain_text("This call is up.")
    page.get_by_role("link", name="Show all its steps").click()
    expect(page.locator(".rm-decisions")).to_contain_text("over")


def test_a_call_is_asked_for_by_what_a_carrier_calls_it(page, hunted, picture):
    page.goto("/admin/calls/story/")
    picture(page, "story-find")
    page.get_by_label("Call id").fill(CALL)
    page.keyboard.press("Enter")
    expect(page.locator("#sentence")).to_contain_text("carrier-b answered 503")


def test_a_real_call_is_shown_with_the_sip_of_both_legs(page, transactional_db, picture):
    page.goto(story_url(keep_real_call()))
    ladder = page.locator("svg.rm-ladder")
    expect(ladder.locator(".rm-sip .rm-said", has_text=re.compile("^INVITE$"))).to_have_count(2)
    expect(ladder.locator(".rm-sip .rm-said", has_text=re.compile("^BYE$"))).to_have_count(2)
    picture(page, "story-with-sip")
    text = page.request.get(page.get_by_role("link", name="SIP as text").get_attribute("href"))
    assert text.text().count("INVITE sip:49200@") == 2
