"""A change to a route's trunks is begun on a part of its calls, watched, and ended by hand."""

import re

import pytest
from playwright.sync_api import expect

from calls.canary import course
from calls.clock import wall_clock_ms
from calls.models import Account, Canary, CanaryTarget, Route, RouteTarget, Trunk
from cdr.moments import moment_of
from cdr.record import Disposition
from cdr.writer import store
from tests.cdr.made_up import record

LIST = "/admin/calls/canary/"
HOUR_MS = 3_600_000


@pytest.fixture
def route(transactional_db, clean_redis):
    Account.objects.create(code="acme", name="Acme", allowed_prefixes="")
    route = Route.objects.create(prefix="49")
    for name in ("carrier-a", "carrier-b"):
        Trunk.objects.create(name=name, dial_string=f"PJSIP/{{number}}@{name}")
    RouteTarget.objects.create(route=route, trunk=Trunk.objects.get(name="carrier-a"))
    return route


@pytest.fixture
def canary(route):
    """One that runs at 10 %, with two hundred calls of its last hour."""
    began_ms = wall_clock_ms() - HOUR_MS
    canary = Canary.objects.create(route=route, share=10, by="alice", stage_at=moment_of(began_ms))
    CanaryTarget.objects.create(canary=canary, trunk=Trunk.objects.get(name="carrier-b"))
    course.begin(canary)
    put(canary, "new", 20, 11)
    put(canary, "old", 180, 104)
    course.look()
    return canary


def put(canary, arm, calls, answered):
    began_ms = wall_clock_ms() - HOUR_MS + 60_000
    store(
        record(
            f"pbx1:{arm}{Canary.objects.get().looks}.{number}",
            started_ms=began_ms,
            ringing_ms=began_ms + 700 + number,
            answered_ms=began_ms + 5_000 if number < answered else None,
            ended_ms=began_ms + 60_000,
            disposition=Disposition.ANSWERED if number < answered else Disposition.NO_ANSWER,
            callee_mos=4.3 if number < answered else None,
            canary=f"{canary.pk}:{arm}",
        )
        for number in range(calls)
    )


def test_it_is_begun_on_its_routes_page_after_a_look_at_what_it_would_do(page, route, picture):
    now_ms = wall_clock_ms()
    store(
        record(f"pbx1:{n}", account="acme", callee_received=f"4930{n:04}", started_ms=now_ms)
        for n in range(100)
    )
    page.goto(f"/admin/calls/route/{route.pk}/change/")
    page.get_by_role("link", name="Try other trunks on a part of the calls").click()
    expect(page.locator("#id_targets-0-trunk")).to_have_value(
        str(Trunk.objects.get(name="carrier-a").pk)
    )
    page.locator("#select2-id_targets-0-trunk-container").click()
    page.locator(".select2-search__field").fill("carrier-b")
    page.locator(".select2-results__option", has_text="carrier-b").click()
    page.locator("#id_share").select_option("10")
    page.get_by_role("button", name="What would this change?").click()
    expect(page.locator("#replay")).to_contain_text("would go to another trunk")
    picture(page, "canary-new")
    assert not Canary.objects.exists()

    page.locator("[name=_save]").click()
    expect(page.locator("#result_list")).to_contain_text("of route 49")
    canary = Canary.objects.get()
    assert (canary.share, canary.by, canary.state) == (10, "superuser", "running")
    assert [each["trunk"] for each in canary.tried] == ["carrier-b"]
    assert [each["trunk"] for each in canary.before] == ["carrier-a"]


def test_what_the_route_does_already_is_nothing_to_try(page, route):
    page.goto(f"{LIST}add/?route={route.pk}")
    page.locator("[name=_save]").click()
    expect(page.locator("body")).to_contain_text("These are the trunks that the route has already")
    assert not Canary.objects.exists()


def test_how_it_goes_is_shown_on_its_page_and_on_the_dashboard(page, canary, picture):
    page.goto(f"{LIST}{canary.pk}/change/")
    expect(page.locator("#main")).to_contain_text("55.0 %")
    expect(page.locator("#main")).to_contain_text("20 of 200 calls by the new trunks")
    picture(page, "canary")
    page.get_by_role("link", name="by the new trunks").click()
    expect(page.locator(".rm-bar").first).to_contain_text("20 calls:")
    page.goto("/admin/")
    card = page.get_by_role("region", name="Canaries")
    expect(card).to_contain_text("10 %")
    expect(card).to_contain_text("55 % / 58 %")


def test_one_that_went_back_by_itself_says_why_on_the_dashboard(page, canary, picture):
    put(canary, "new", 40, 0)
    course.look()
    page.goto("/admin/")
    expect(page.locator("#wrong")).to_contain_text(
        "The canary of route 49 went back by itself. At 10 % of the calls the new trunks were worse"
    )
    expect(page.get_by_role("region", name="Canaries")).to_have_count(0)
    page.locator("#wrong").get_by_role("link", name="The canary of route 49").click()
    expect(page.locator("#main")).to_contain_text("ASR 18 % of 60 calls against 58 % of 180")
    picture(page, "canary-went-back")
    page.goto(LIST)
    picture(page, "canaries")


def test_it_is_taken_over_by_hand_and_given_up_again(page, canary, route, picture):
    page.goto(f"{LIST}{canary.pk}/change/")
    page.get_by_role("link", name="Take over").click()
    expect(page.locator("#main")).to_contain_text("for all calls of the route?")
    picture(page, "canary-end")
    page.get_by_role("button", name="Yes").click()
    expect(page.locator("#main")).to_contain_text("By hand.")
    assert [target.trunk.name for target in route.targets.all()] == ["carrier-b"]

    page.get_by_role("link", name="Give it up").click()
    page.get_by_role("button", name="Yes").click()
    expect(page.locator("body")).to_contain_text(re.compile("went back", re.IGNORECASE))
    assert [target.trunk.name for target in route.targets.all()] == ["carrier-a"]


def test_its_share_is_changed_by_hand_and_calls_are_compared_anew(page, canary):
    page.goto(f"{LIST}{canary.pk}/change/")
    page.locator("#id_share").select_option("50")
    page.locator("[name=_save]").click()
    expect(page.locator("#result_list")).to_contain_text("50 %")
    after = Canary.objects.get()
    assert (after.share, after.found, after.judged_calls) == (50, {}, 0)
    assert after.stage_at > canary.stage_at


def test_without_one_the_list_says_what_it_is_for(page, route, picture):
    page.goto(LIST)
    expect(page.locator("#main")).to_contain_text("No change is being tried.")
    picture(page, "canary-empty")
