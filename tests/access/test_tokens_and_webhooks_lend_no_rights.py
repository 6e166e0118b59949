"""Who may make tokens or webhooks does not reach by them what he may not see or do himself."""

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from calls.models import Account, ApiToken, WebhookDelivery, WebhookEndpoint

pytestmark = pytest.mark.django_db
TOKENS, WEBHOOKS = "/admin/calls/apitoken/", "/admin/calls/webhookendpoint/"
OF_TOKENS = ("view_apitoken", "add_apitoken", "change_apitoken")
OF_WEBHOOKS = ("view_webhookendpoint", "add_webhookendpoint", "change_webhookendpoint")


@pytest.fixture
def acme(db):
    return Account.objects.create(code="acme", name="Acme")


@pytest.fixture
def clerk(client, db):
    """Signs somebody in who has these permissions only."""

    def clerk(*names):
        user = User.objects.create_user("clerk", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        assert user.user_permissions.count() == len(names)
        client.force_login(user)
        return client

    return clerk


def token(holder, scopes):
    of = {"account": holder} if isinstance(holder, Account) else {"user": holder}
    made = ApiToken(name="crm", scopes=scopes, **of)
    made.plain = made.new_secret()
    made.save()
    return made


@pytest.mark.parametrize(
    ("scope", "needs"),
    [
        ("calls:originate", ["originate_call"]),
        ("calls:hangup", ["view_call", "hangup_call"]),
        ("cdrs:read", ["view_cdr"]),
        ("config:read", ["view_account", "view_limit"]),
    ],
)
def test_a_token_of_an_account_is_made_by_who_may_do_what_it_may(clerk, acme, scope, needs):
    def made(client):
        client.post(TOKENS + "add/", {"name": "x", "account": acme.pk, "scopes": [scope]})
        return ApiToken.objects.exists()

    client = clerk(*OF_TOKENS)
    for missing in needs:
        user = User.objects.get()
        user.user_permissions.set(
            Permission.objects.filter(codename__in={*OF_TOKENS, *needs} - {missing})
        )
        assert not made(client), missing
    user.user_permissions.set(Permission.objects.filter(codename__in=[*OF_TOKENS, *needs]))
    assert made(client)


def test_a_new_secret_of_an_accounts_token_is_for_who_may_do_what_it_may(clerk, acme):
    """Or whoever tidies tokens up places calls of every account that has one."""
    row = token(acme, "calls:originate")
    before = row.digest
    chosen = {"action": "new_secret", "_selected_action": [row.pk]}

    client = clerk(*OF_TOKENS)
    page = client.post(TOKENS, chosen, follow=True).content.decode()
    row.refresh_from_db()
    assert row.digest == before
    assert "You may not do calls:originate yourself." in page.replace("&#x27;", "'")

    User.objects.get().user_permissions.add(Permission.objects.get(codename="originate_call"))
    client.post(TOKENS, chosen)
    row.refresh_from_db()
    assert row.digest != before


def test_a_token_of_somebody_else_is_neither_taken_over_nor_renewed(clerk):
    boss = User.objects.create_superuser("boss")
    row = token(boss, "config:write")
    client = clerk(*OF_TOKENS)
    me = User.objects.get(username="clerk")

    for user in (boss.pk, me.pk, ""):
        fields = {"name": "crm", "user": user, "scopes": ["config:write"], "enabled": "on"}
        client.post(f"{TOKENS}{row.pk}/change/", fields)
    client.post(TOKENS, {"action": "new_secret", "_selected_action": [row.pk]})

    found = ApiToken.objects.get()
    assert (found.user, found.digest) == (boss, row.digest)


@pytest.mark.parametrize(
    ("event", "needs"),
    [
        ("call.begun", "view_call"),
        ("call.answered", "view_call"),
        ("call.ended", "view_cdr"),
        ("trunk.down", "view_trunk"),
        ("limit.warned", "view_limit"),
        ("fraud.alarm", "view_alarm"),
    ],
)
def test_a_webhook_is_told_what_its_maker_may_see(clerk, acme, event, needs):
    """Else who may see no call record has every one sent to a server of his own."""
    fields = {"name": "x", "url": "https://crm.example/", "events": [event], "enabled": "on"}

    client = clerk(*OF_WEBHOOKS)
    page = client.post(WEBHOOKS + "add/", fields).content.decode()
    assert not WebhookEndpoint.objects.exists()
    assert f"You may not see what {event} tells" in page

    User.objects.get().user_permissions.add(Permission.objects.get(codename=needs))
    client.post(WEBHOOKS + "add/", fields)
    assert WebhookEndpoint.objects.exists()


def test_a_webhook_is_led_elsewhere_only_by_who_may_see_what_it_is_told(clerk):
    row = WebhookEndpoint.objects.create(
        name="crm", url="https://crm.example/", events="call.ended"
    )
    fields = {"name": "crm", "url": "https://evil.example/", "events": ["call.ended"]}

    clerk(*OF_WEBHOOKS).post(f"{WEBHOOKS}{row.pk}/change/", fields | {"enabled": "on"})

    row.refresh_from_db()
    assert row.url == "https://crm.example/"


def test_a_message_is_shown_to_who_may_see_what_it_tells(clerk):
    row = WebhookEndpoint.objects.create(
        name="crm", url="https://crm.example/", events="call.ended"
    )
    now = timezone.now()
    delivery = WebhookDelivery.objects.create(
        endpoint=row,
        message_id="msg_1",
        event="call.ended",
        body='{"caller": "4930-secret"}',
        due_at=now,
        made_at=now,
    )
    address = f"/admin/calls/webhookdelivery/{delivery.pk}/change/"

    client = clerk("view_webhookdelivery")
    page = client.get(address)
    assert page.status_code == 200
    assert "4930-secret" not in page.content.decode()

    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_cdr"))
    assert "4930-secret" in client.get(address).content.decode()


def test_over_the_api_too(clerk, client):
    user = User.objects.create_user("program", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=OF_WEBHOOKS))
    headers = {"Authorization": f"Bearer {token(user, 'webhooks:write config:read').plain}"}

    def send(method, path, told):
        return getattr(client, method)(
            f"/api/v1/{path}", data=told, content_type="application/json", headers=headers
        ).status_code

    told = {"name": "x", "url": "https://evil.example/", "events": ["call.ended"]}
    assert send("post", "webhooks", told) == 403
    row = WebhookEndpoint.objects.create(name="c", url="https://c.example/", events="call.ended")
    assert send("patch", f"webhooks/{row.pk}", {"url": "https://evil.example/"}) == 403
    assert [each.url for each in WebhookEndpoint.objects.all()] == ["https://c.example/"]

    user.user_permissions.add(Permission.objects.get(codename="view_cdr"))
    assert send("post", "webhooks", told) == 201
