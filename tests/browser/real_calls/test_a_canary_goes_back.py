"""Half of a route's real calls try a carrier that refuses them: the change goes back by itself."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from calls.canary import course
from calls.models import Canary, CanaryTarget, Trunk
from cdr.models import Cdr
from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller

CALLS = 60
"""Of which each side has ten but once in a hundred million runs."""


@pytest.mark.usefixtures("carrier")
def test_a_carrier_that_answers_503_is_tried_and_left_again(
    ringmaster: Ringmaster, caller: Caller, page: Page, picture: Callable[..., None]
) -> None:
    ringmaster.account(allowed_prefixes="")
    route = ringmaster.route("49", "PJSIP/{number}@carrier-a")
    broken = Trunk.objects.create(
        name="broken",
        dial_string="PJSIP/{number}@carrier-a",
        rewrite_match="^.*$",
        rewrite_replace="49503",
    )
    page.goto(f"/admin/calls/canary/add/?route={route.pk}")
    page.locator("#select2-id_targets-0-trunk-container").click()
    page.locator(".select2-search__field").fill("broken")
    page.locator(".select2-results__option", has_text="broken").click()
    page.locator("#id_share").select_option("50")
    page.locator("[name=_save]").click()
    expect(page.locator("#result_list")).to_contain_text("running", ignore_case=True)
    canary = Canary.objects.get()

    calls = caller.call("4930200", count=CALLS, rate=20)
    ringmaster.wait_for_cdrs(CALLS, timeout_s=60)
    new = Cdr.objects.filter(canary=f"{canary.pk}:new")
    old = Cdr.objects.filter(canary=f"{canary.pk}:old")
    assert new.count() + old.count() == CALLS
    assert calls.answered == old.count() == old.filter(disposition="answered").count()
    assert set(new.values_list("disposition", flat=True)) == {"congestion"}

    (looked,) = course.look()
    assert looked.moved
    page.goto("/admin/")
    expect(page.locator("#wrong")).to_contain_text(
        f"The canary of route 49 went back by itself. At 50 % of the calls the new trunks were "
        f"worse: ASR 0 % of {new.count()} calls against 100 % of {old.count()}"
    )
    assert not CanaryTarget.objects.exists()

    assert caller.call("4930200", count=10, rate=10).answered == 10
    ringmaster.wait_for_cdrs(CALLS + 10)
    assert broken.pk not in route.targets.values_list("trunk", flat=True)
