"""Webhooks and their deliveries in a real browser: made, failed, and sent again."""

from datetime import UTC, datetime

from django.utils import timezone
from playwright.sync_api import expect

from calls.models import WebhookDelivery, WebhookEndpoint
from calls.store.outbox import ended
from tests.cdr.made_up import record

AT = datetime(2026, 11, 25, 10, 31, tzinfo=UTC)


def told():
    """Three calls that ended: told, waiting and failed."""
    endpoint = WebhookEndpoint(
        name="crm", url="https://crm.example/ringmaster", events="call.ended", last_success_at=AT
    )
    endpoint.new_secret()
    endpoint.save()
    ended([record(f"pbx1:1795558316.{number}") for number in (26, 27, 28)])
    rows = WebhookDelivery.objects.order_by("id")
    rows.update(made_at=AT, due_at=timezone.now())
    first, second, third = rows
    of = WebhookDelivery.objects.filter
    of(pk=first.pk).update(state="delivered", attempts=1, status=200, took_ms=42, settled_at=AT)
    of(pk=second.pk).update(attempts=2, problem="It did not answer within 5 s")
    of(pk=third.pk).update(state="failed", attempts=12, status=500, problem="It answered 500")
    return endpoint


def test_a_webhook_is_made_and_its_secret_shown_once(page, picture, clean_redis):
    page.goto("/admin/calls/webhookendpoint/add/")
    page.get_by_label("name").fill("crm")
    page.get_by_label("address").fill("https://crm.example/ringmaster")
    page.get_by_label("call.ended", exact=False).check()
    picture(page, "webhook")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    page.get_by_role("link", name="I have kept it").click()
    expect(page.get_by_text("https://crm.example/ringmaster")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("whsec_")


def test_a_delivery_that_failed_is_sent_again(page, picture, clean_redis):
    told()
    page.goto("/admin/calls/webhookendpoint/")
    expect(page.get_by_text("takes messages")).to_be_visible()
    picture(page, "webhooks")
    page.goto("/admin/calls/webhookdelivery/")
    expect(page.get_by_text("It answered 500")).to_be_visible()
    picture(page, "deliveries")
    page.goto("/admin/calls/webhookendpoint/")
    page.get_by_role("link", name="crm", exact=True).click()
    expect(page.get_by_text("takes messages")).to_be_visible()

    page.goto("/admin/calls/webhookdelivery/?state__exact=failed")
    page.locator("input.action-select").first.check()
    page.locator("select[name=action]").select_option("again")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("body")).to_contain_text("1 delivery is sent again, with the same id")
    assert WebhookDelivery.objects.filter(state="failed").count() == 0


def test_a_delivery_shows_its_message(page, picture, clean_redis):
    told()
    row = WebhookDelivery.objects.get(state="failed")
    page.goto(f"/admin/calls/webhookdelivery/{row.pk}/change/")
    expect(page.get_by_text('"type": "call.ended"')).to_be_visible()
    picture(page, "delivery")
