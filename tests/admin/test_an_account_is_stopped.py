"""One action stops an account: new calls are refused, and all that are up end."""

import asyncio
import time

import pytest
from django.urls import reverse
from msgspec.structs import replace

from calls.engine import stopping
from calls.machine.events import HangupAsked, decode
from calls.machine.session import to_json
from calls.models import Account
from calls.store import config_version
from calls.store.mailbox import ATTEND, Mailboxes, connect
from tests.machine.world import CALL, dialling, entered

pytestmark = pytest.mark.django_db


@pytest.fixture
def accounts(monkeypatch):
    monkeypatch.setattr(config_version, "bump", lambda: True)
    monkeypatch.setattr(stopping, "LONGEST_STEP_S", 0.0)
    return [Account.objects.create(code=code, name=code) for code in ("acme", "other")]


@pytest.fixture
def live(redis_url, clean_redis, settings):
    """Calls that nobody has attended to yet: of acme, by its code and its endpoint, and another."""
    settings.REDIS_URL = redis_url

    async def post():
        async with connect(redis_url) as client:
            mailboxes = Mailboxes(client)
            await mailboxes.load_scripts()
            await mailboxes.post(
                [
                    ("demo:1.1", entered(account_code="acme")),
                    ("demo:1.2", entered(account_code="", channel_name="PJSIP/acme-0001")),
                    ("demo:1.3", entered(account_code="other")),
                ]
            )

    asyncio.run(post())
    return clean_redis


def ended(client):
    """The calls that were asked to end, and by whom."""
    found = {}
    for call in ("demo:1.1", "demo:1.2", "demo:1.3"):
        for text in client.lrange(f"ringmaster:mail:{call}", 0, -1):
            event = decode(text)
            if isinstance(event, HangupAsked):
                found[call] = event.by
    return found


def stop(client, *chosen, **more):
    form = {"action": "stop_accounts", "_selected_action": [account.pk for account in chosen]}
    return client.post(reverse("admin:calls_account_changelist"), form | more, follow=True)


def test_first_it_asks_and_does_nothing(admin_client, accounts, live):
    page = stop(admin_client, accounts[0]).content.decode()

    assert "End all calls of acme and disable it?" in " ".join(page.split())
    assert Account.objects.filter(enabled=True).count() == 2
    assert ended(live) == {}


def test_then_the_account_is_disabled_and_its_calls_end(admin_client, accounts, live):
    page = stop(admin_client, accounts[0], confirmed="1").content.decode()

    assert "acme: disabled; asked for the end of 2 calls." in page
    assert ended(live) == {"demo:1.1": "admin", "demo:1.2": "admin"}
    assert [account.enabled for account in Account.objects.order_by("code")] == [False, True]


def test_a_call_that_is_routed_counts_for_the_account_it_was_given(accounts, live):
    session = dialling().session
    live.hset(f"ringmaster:call:{CALL}", "session", to_json(session))
    live.zadd(ATTEND, {CALL: 1})

    assert CALL in stopping.end_calls_of({"acme"}, "test", 0).calls


def test_a_call_of_an_account_that_was_renamed_since_ends_as_well(admin_client, accounts, live):
    live.delete(ATTEND)
    now_ms = int(time.time() * 1000)
    session = replace(dialling().session, started_ms=now_ms - 60_000)
    live.hset(f"ringmaster:call:{CALL}", "session", to_json(session))
    live.zadd(ATTEND, {CALL: 1})
    accounts[0].code = "acme-old"
    accounts[0].save()

    assert "1 call" in " ".join(stop(admin_client, accounts[0]).content.decode().split())
    page = stop(admin_client, accounts[0], confirmed="1").content.decode()

    assert "acme-old: disabled; asked for the end of 1 calls." in page


def test_a_call_of_another_account_that_bears_the_code_now_goes_on(accounts, live):
    live.delete(ATTEND)
    renamed_ms = 1_763_900_000_000
    session = dialling().session
    for number, began_ms in ((1, renamed_ms - 1), (2, renamed_ms + 1)):
        call = f"demo:9.{number}"
        plain = replace(session, call_id=call, started_ms=began_ms)
        live.hset(f"ringmaster:call:{call}", "session", to_json(plain))
        live.zadd(ATTEND, {call: 1})

    stopped = stopping.end_calls_of({"acme-old"}, "test", 0, {"acme": renamed_ms})

    assert stopped.calls == ("demo:9.1",)


@pytest.mark.parametrize("key", ["mail", "session"])
def test_a_call_that_cannot_be_read_lets_no_other_live(admin_client, accounts, live, key, caplog):
    if key == "mail":
        live.rpush("ringmaster:mail:demo:1.0", "no event")
    else:
        live.hset("ringmaster:call:demo:1.0", "session", "no session")
    live.zadd(ATTEND, {"demo:1.0": 0})

    page = stop(admin_client, accounts[0], confirmed="1").content.decode()

    assert ended(live) == {"demo:1.1": "admin", "demo:1.2": "admin"}
    assert "1 calls that are up cannot be read" in page
    assert "Nobody can tell whose call demo:1.0 is." in caplog.text


def test_a_call_with_one_unreadable_event_is_known_by_the_others(accounts, live):
    live.rpush("ringmaster:mail:demo:1.1", "no event")

    assert stopping.end_calls_of({"acme"}, "test", 0).calls == ("demo:1.1", "demo:1.2")


def test_without_redis_the_account_is_disabled_all_the_same(admin_client, accounts, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    page = stop(admin_client, accounts[0], confirmed="1").content.decode()

    assert "acme: disabled." in page
    assert "Do it again then." in page
    assert not Account.objects.get(code="acme").enabled


def test_it_is_for_those_who_may_change_accounts_and_hang_up(client, django_user_model, accounts):
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("eve", password="x", is_staff=True)
    granted = Permission.objects.filter(codename__in=["view_account", "change_account"])
    user.user_permissions.set(granted)
    client.force_login(user)
    stop(client, accounts[0], confirmed="1")

    assert Account.objects.get(code="acme").enabled
