"""The front page: figures, what is wrong, and what to do first."""

import re
from dataclasses import asdict

import orjson
import pytest
from playwright.sync_api import expect

from calls.clock import wall_clock_ms
from calls.limits.rules import Metric, Scope
from calls.models import Account, Limit, Route, RouteTarget, Trunk
from calls.store import ledger_light
from calls.store.counters import STATES
from calls.store.heartbeats import PREFIX
from calls.store.ledger_light import Light
from cdr import recent, rollup
from cdr.writer import store
from tests.lab import live
from tests.lab.traffic import calls

HOUR_MS = 3_600_000
LEDGER = "All 900 calls of today and yesterday have their record or are on their way to it."
WEEK_MS = 7 * 24 * HOUR_MS


def beat(client, kind, note="", pid=4711):
    text = orjson.dumps({"started_ms": wall_clock_ms() - 5_000_000, "note": note})
    client.set(f"{PREFIX}{kind}:switch:{pid}", text)


@pytest.fixture
def all_well(clean_redis):
    beat(clean_redis, "bridge", "pbx1 listens")
    beat(clean_redis, "bridge", "pbx1 stands by", pid=4712)
    beat(clean_redis, "calls")
    beat(clean_redis, "records")
    light = Light(wall_clock_ms() - 20_000, True, LEDGER, 35)
    clean_redis.set(ledger_light.KEY, orjson.dumps(asdict(light)))
    return clean_redis


@pytest.fixture
def busy(all_well, transactional_db):
    """A day of traffic, the same day a week ago, and sixty calls up."""
    now_ms = wall_clock_ms()
    Account.objects.create(code="acme", name="Acme")
    carriers = [
        Trunk.objects.create(name=name, dial_string=f"PJSIP/{{number}}@{name}", max_calls=most)
        for name, most in (("carrier-a", 100), ("carrier-b", None), ("carrier-c", 30))
    ]
    route = Route.objects.create(prefix="49")
    for priority, carrier in enumerate(carriers, start=1):
        RouteTarget.objects.create(route=route, trunk=carrier, priority=priority)
    Limit.objects.create(scope=Scope.ACCOUNT, target="acme", metric=Metric.CONCURRENT, value=40)
    for age_ms, seed in ((0, 7), (WEEK_MS, 8)):
        records = list(calls(900, now_ms - 24 * HOUR_MS - age_ms, now_ms - age_ms, seed=seed))
        store(records)
        if not age_ms:
            hour = [record for record in records if record.started_ms > now_ms - HOUR_MS]
            recent.note(all_well, hour, (record.started_ms for record in hour))
    while rollup.add_up():
        pass
    live.put(all_well, (live.session(n, now_ms=now_ms) for n in range(60)))
    for name, count in (("capacity:carrier-a", 60), ("account:acme", 37)):
        places = {f"pbx1:{n}": now_ms + 600_000 for n in range(count)}
        all_well.zadd(f"ringmaster:limit:concurrent:{name}", places)
    return all_well


def test_it_shows_how_the_switch_does(page, busy, picture):
    page.goto("/admin/")
    expect(page.locator("#wrong")).to_have_text("Nothing is wrong now.")
    expect(page.locator(".rm-tile").first).to_contain_text("60")
    expect(page.locator(".rm-tile", has_text="ASR")).to_contain_text("%")
    expect(page.locator("svg.rm-chart")).to_have_count(3)
    expect(page.get_by_role("region", name="Trunks")).to_contain_text("60 of 100")
    expect(page.get_by_role("region", name="Limits that are nearly used")).to_contain_text(
        "37 of 40"
    )
    expect(page.locator("#processes")).to_contain_text("pbx1 listens")
    expect(page.get_by_role("region", name="Ledger")).to_contain_text("balances")
    picture(page, "dashboard")


def test_what_is_wrong_is_said_on_top_by_itself(page, busy, picture):
    page.goto("/admin/")
    expect(page.locator("#wrong")).to_have_text("Nothing is wrong now.")
    busy.delete(*busy.scan_iter(f"{PREFIX}records*"))
    busy.hset(STATES, "carrier-b", f"down {wall_clock_ms()} 19 20")
    places = {f"pbx1:{n}": wall_clock_ms() + 600_000 for n in range(40)}
    busy.zadd("ringmaster:limit:concurrent:account:acme", places)
    wrong = page.locator("#wrong")
    expect(wrong).to_contain_text("No records worker runs: call records wait in Redis.")
    expect(wrong).to_contain_text("Trunk carrier-b is down: 19 of 20 attempts failed in a minute.")
    expect(wrong).to_contain_text("The limit account acme: 40 concurrent is reached")
    expect(page.locator("#processes")).to_contain_text("not running")
    picture(page, "dashboard-wrong")


def test_it_moves_by_itself(page, busy):
    page.goto("/admin/")
    expect(page.locator(".rm-tile").first).to_contain_text("60")
    live.put(busy, (live.session(n, now_ms=wall_clock_ms()) for n in range(100, 110)))
    expect(page.locator(".rm-tile").first).to_contain_text("70")


def test_a_new_ringmaster_says_what_to_do_first_and_ticks_it_off(page, all_well, picture):
    page.goto("/admin/")
    steps = page.locator("#first-steps li")
    expect(steps.filter(has=page.get_by_label("done"))).to_have_count(1)
    picture(page, "first-steps")
    page.get_by_role("link", name="Add an account").click()
    page.locator("#id_code").fill("acme")
    page.locator("#id_name").fill("Acme")
    page.locator("[name=_save]").click()
    page.goto("/admin/")
    expect(steps.filter(has=page.get_by_label("done"))).to_have_count(2)
    expect(steps.nth(1)).to_have_class(re.compile("rm-done"))


def test_without_redis_the_page_says_so_and_shows_what_it_has(page, busy, settings):
    settings.REDIS_URL = settings.LIMITS_REDIS_URL = "redis://127.0.0.1:1/0"
    page.goto("/admin/")
    expect(page.locator("#wrong")).to_contain_text("Redis (REDIS_URL) does not answer")
    expect(page.locator("svg.rm-chart")).to_have_count(3)


def test_who_may_see_nothing_sees_no_figures(page_of, busy):
    page = page_of(None)
    page.goto("/admin/")
    expect(page.locator(".rm-tile")).to_have_count(0)
    expect(page.get_by_role("region", name="Trunks")).to_have_count(0)
