"""Every committed change to accounts, trunks or routes raises the counter workers look at."""

import pytest
import redis
from django.db import transaction

from calls.models import Account, Block, Route, RouteTarget, Trunk
from calls.store import config_version

NOBODY_LISTENS = "redis://:hunter2@127.0.0.1:1/0"


@pytest.fixture
def counter(redis_url, settings):
    """Reads the counter, which stands at 0 when the test begins."""
    settings.REDIS_URL = redis_url
    client = redis.Redis.from_url(redis_url)
    client.delete(config_version.KEY)
    yield lambda: int(client.get(config_version.KEY) or 0)
    client.close()


@pytest.mark.django_db(transaction=True)
def test_each_save_and_each_deletion_counts(counter):
    account = Account.objects.create(code="demo", name="Demo")
    trunk = Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a")
    route = Route.objects.create(prefix="49", account=account)
    target = RouteTarget.objects.create(route=route, trunk=trunk)
    assert counter() == 4
    trunk.enabled = False
    trunk.save()
    assert counter() == 5
    for row in (target, route, trunk, account):
        row.delete()
    assert counter() == 9


@pytest.mark.django_db(transaction=True)
def test_a_blocklist_entry_counts(counter):
    entry = Block.objects.create(prefix="49")
    assert counter() == 1
    entry.delete()
    assert counter() == 2


@pytest.mark.django_db(transaction=True)
def test_a_row_deleted_with_its_account_counts(counter):
    account = Account.objects.create(code="demo", name="Demo")
    Route.objects.create(prefix="49", account=account)
    account.delete()
    assert counter() == 4


@pytest.mark.django_db(transaction=True)
def test_a_change_counts_only_when_it_is_committed(counter):
    with transaction.atomic():
        Account.objects.create(code="demo", name="Demo")
        assert counter() == 0
    assert counter() == 1


@pytest.mark.django_db(transaction=True)
def test_a_change_rolled_back_does_not_count(counter):
    with transaction.atomic():
        Account.objects.create(code="demo", name="Demo")
        transaction.set_rollback(True)
    assert not Account.objects.exists()
    assert counter() == 0


def test_a_bulk_change_is_told_by_hand(counter):
    assert config_version.bump() is True
    assert counter() == 1


@pytest.mark.django_db(transaction=True)
def test_a_save_succeeds_without_redis_and_says_so_in_the_log(settings, caplog):
    settings.REDIS_URL = NOBODY_LISTENS
    Account.objects.create(code="demo", name="Demo")
    assert Account.objects.filter(code="demo").exists()
    assert "Redis (REDIS_URL) could not be told" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_the_admin_tells_its_user_when_workers_were_not_told(admin_client, settings):
    settings.REDIS_URL = NOBODY_LISTENS
    form = {"code": "demo", "name": "Demo", "enabled": "on"}
    page = admin_client.post("/admin/calls/account/add/", form, follow=True)
    assert Account.objects.filter(code="demo").exists()
    sentences = [str(message) for message in page.context["messages"]]
    assert any("Redis (REDIS_URL) could not be told" in sentence for sentence in sentences)


@pytest.mark.django_db(transaction=True)
def test_the_admin_says_nothing_when_workers_were_told(admin_client, counter):
    form = {"code": "demo", "name": "Demo", "enabled": "on"}
    page = admin_client.post("/admin/calls/account/add/", form, follow=True)
    assert counter() == 1
    assert not any("Redis" in str(message) for message in page.context["messages"])
