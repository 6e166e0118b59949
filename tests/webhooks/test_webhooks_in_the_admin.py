"""An operator makes webhooks, sees what was told, and has it sent again; a secret is seen once."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from calls.models import Account, Change, WebhookDelivery, WebhookEndpoint
from calls.store.outbox import ended
from tests.cdr.made_up import record

pytestmark = pytest.mark.django_db
ADD = reverse("admin:calls_webhookendpoint_add")
LIST = reverse("admin:calls_webhookendpoint_changelist")
DELIVERIES = reverse("admin:calls_webhookdelivery_changelist")


def added(client, **fields):
    facts = {"name": "crm", "url": "https://crm.example/hook", "events": ["call.ended"]}
    return client.post(ADD, facts | {"enabled": "on"} | fields)


def test_a_secret_is_shown_when_it_is_made_and_never_again(admin_client):
    answer = added(admin_client)
    secret = answer.context["plain"]
    assert secret.startswith("whsec_")
    assert secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    row = WebhookEndpoint.objects.get()
    pages = [admin_client.get(LIST), admin_client.get(f"{LIST}{row.pk}/change/")]
    assert all(secret not in page.content.decode() for page in pages)
    assert all(row.salt not in str(change.changes) for change in Change.objects.all())


def test_a_new_secret_is_another_and_the_old_one_signs_along(admin_client, make_endpoint):
    row = make_endpoint()
    answer = admin_client.post(LIST, {"action": "new_secret", "_selected_action": [row.pk]})
    assert answer.context["plain"] not in ("", row.plain)
    row.refresh_from_db()
    assert len(row.signing_secrets()) == 2


def test_a_new_secret_stands_among_the_changes(admin_client, make_endpoint):
    row = make_endpoint()
    admin_client.post(LIST, {"action": "new_secret", "_selected_action": [row.pk]})
    change = Change.objects.get_for_object(row).get(action=Change.Action.UPDATE)
    assert (change.who, list(change.changes)) == ("admin", ["secret"])


def test_a_test_message_is_asked_for(admin_client, make_endpoint):
    row, off = make_endpoint(), make_endpoint("billing", enabled=False)
    asked = {"action": "test", "_selected_action": [row.pk, off.pk]}
    page = admin_client.post(LIST, asked, follow=True).content.decode()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.endpoint, delivery.event, delivery.state) == (row, "webhook.test", "waiting")
    assert f"{DELIVERIES}{delivery.pk}/change/" in page
    assert "Webhook billing is disabled" in page


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://127.0.0.1/", "in a private network"),
        ("https://[::ffff:10.0.0.1]/", "in a private network"),
        ("https://169.254.169.254/latest/meta-data", "in a private network"),
        ("http://crm.example/", "WEBHOOK_ALLOW_HTTP"),
        ("https://user:secret@crm.example/", "no user, password"),
        ("https://crm.example/#x", "no user, password"),
        ("ftp://crm.example/", "begins with https://"),
        ("https:///nothing", "begins with https://"),
        ("https://crm.example:99999/", "no address that can be read"),
        ("https://crm.example/a b", "no spaces"),
    ],
)
def test_an_address_that_will_not_be_told_is_refused_at_once(admin_client, url, words):
    answer = added(admin_client, url=url)
    assert words in str(answer.context["errors"])
    assert not WebhookEndpoint.objects.exists()


def test_the_webhook_of_an_account_is_told_of_calls_alone(admin_client):
    account = Account.objects.create(code="acme", name="Acme")
    answer = added(admin_client, account=account.pk, events=["call.ended", "trunk.down"])
    assert "is not told of trunk.down" in str(answer.context["errors"])


def test_who_enables_a_webhook_again_is_done_with_why_it_was_disabled(admin_client, make_endpoint):
    row = make_endpoint(enabled=False, disabled_because="gone", failing_since=timezone.now())
    facts = {"name": row.name, "url": row.url, "events": ["call.ended"], "enabled": "on"}
    admin_client.post(f"{LIST}{row.pk}/change/", facts)
    row.refresh_from_db()
    assert (row.enabled, row.disabled_because, row.failing_since) == (True, "", None)


@pytest.fixture
def failed(make_endpoint):
    make_endpoint()
    ended([record("pbx1:1.1", caller_name="<script>alert(1)</script>")])
    WebhookDelivery.objects.update(state="failed", attempts=12, problem="It answered 500")
    return WebhookDelivery.objects.get()


def test_what_has_failed_is_sent_again_with_the_same_id(admin_client, failed):
    admin_client.post(DELIVERIES, {"action": "again", "_selected_action": [failed.pk]})
    row = WebhookDelivery.objects.get()
    assert (row.state, row.attempts, row.sent_again_by) == ("waiting", 0, "admin")
    assert row.message_id == failed.message_id


def test_who_only_looks_sends_nothing_again(client, failed):
    user = User.objects.create_user("looker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_webhookdelivery"))
    client.force_login(user)
    assert client.get(DELIVERIES).status_code == 200
    client.post(DELIVERIES, {"action": "again", "_selected_action": [failed.pk]})
    assert WebhookDelivery.objects.get().state == "failed"


def test_a_message_is_shown_as_text_whatever_stands_in_it(admin_client, failed):
    page = admin_client.get(f"{DELIVERIES}{failed.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_the_story_of_a_call_says_what_was_told_of_it(admin_client, client, failed, clean_redis):
    story = reverse("story", args=("pbx1:1.1",))
    page = admin_client.get(story).content.decode()
    assert "Told to webhooks" in page
    assert "It answered 500" in page
    user = User.objects.create_user("looker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_cdr"))
    client.force_login(user)
    assert "Told to webhooks" not in client.get(story).content.decode()


def test_the_dashboard_says_what_is_wrong_with_webhooks(admin_client, make_endpoint, clean_redis):
    make_endpoint("crm", failing_since=timezone.now())
    make_endpoint("billing", enabled=False, disabled_because="It answered 410.")
    page = admin_client.get(reverse("admin:index")).content.decode()
    assert "Nobody brings messages to webhooks" in page
    assert "Webhook crm has taken nothing since" in page
    assert "Webhook billing was disabled: It answered 410." in page
