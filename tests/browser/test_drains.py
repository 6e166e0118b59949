"""Drains in a real browser: one is begun, what is left is said, and it is ended."""

from datetime import UTC, datetime

from playwright.sync_api import expect

from calls.engine.draining import Kind, drain
from calls.models import Drain, Trunk
from calls.store.mailbox import ATTEND

AT = datetime(2026, 11, 25, 10, 31, tzinfo=UTC)


def test_a_node_is_drained_and_taken_back(page, picture, clean_redis, settings):
    settings.ARI_NODES = {"pbx1": None, "pbx2": None}
    Trunk.objects.create(name="south", dial_string="PJSIP/{number}@south")
    for number in range(12):
        clean_redis.zadd(ATTEND, {f"pbx1:1795558316.{number}": 9_000_000_000_000})
    page.goto("/admin/calls/drain/add/")
    page.locator("#id_kind").select_option("node")
    page.locator("#id_node").select_option("pbx1")
    page.get_by_label("why").fill("new kernel")
    picture(page, "drain-new")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text("node pbx1")

    drain(Kind.TRUNK, "south", by="bob", why="maintenance at theirs")
    Drain.objects.filter(kind="node").update(by="alice")
    Drain.objects.update(since=AT)
    page.goto("/admin/calls/drain/")
    rows = page.locator("#result_list")
    expect(rows).to_contain_text("12")
    expect(rows).to_contain_text("empty")
    picture(page, "drains")

    page.get_by_role("row", name="node pbx1").locator("input.action-select").check()
    page.locator("select[name=action]").select_option("end")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("body")).to_contain_text("node pbx1: new calls are taken again.")
    assert [str(each) for each in Drain.objects.all()] == ["trunk south"]
