"""Each role reaches what docs/roles.md says, on every address there is, and nothing else."""

import os
import re
from pathlib import Path

import pytest
from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.utils import timezone

from calls.models import (
    Account,
    ApiToken,
    Block,
    Canary,
    CanaryTarget,
    Change,
    Limit,
    Route,
    RouteTarget,
    Trunk,
    WebhookDelivery,
    WebhookEndpoint,
)
from cdr.models import Cdr
from project.access.roles import ADMIN, AUDITOR, OPERATOR, ROLES, ROUTING_MANAGER
from tests.access import reach

pytestmark = pytest.mark.migrated
DOCUMENT = Path(settings.BASE_DIR) / "docs" / "roles.md"


@pytest.fixture
def rows(db):
    """A row of each model that has a page, where one can be made: its key by model."""
    account = Account.objects.create(code="demo", name="Demo")
    trunk = Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a")
    route = Route.objects.create(prefix="49", account=account)
    RouteTarget.objects.create(route=route, trunk=trunk)
    canary = Canary.objects.create(route=route, stage_at=timezone.now())
    CanaryTarget.objects.create(canary=canary, trunk=trunk)
    Block.objects.create(side="callee", prefix="4490")
    ApiToken.objects.create(name="crm", key="0", scopes="cdrs:read", account=account)
    Limit.objects.create(scope="global", metric="concurrent", value=5)
    webhook = WebhookEndpoint.objects.create(
        name="crm", url="https://crm.example/", events="call.ended"
    )
    WebhookDelivery.objects.create(
        endpoint=webhook,
        message_id="msg_1",
        event="call.ended",
        call_id="pbx1:1.1",
        body="{}",
        due_at=timezone.now(),
        made_at=timezone.now(),
    )
    account.name = "Other"
    account.save()
    User.objects.create_user("somebody")
    now = timezone.now()
    AccessAttempt.objects.create(
        username="x", ip_address="192.0.2.1", attempt_time=now, failures_since_start=1
    )
    AccessLog.objects.create(username="x", ip_address="192.0.2.1", attempt_time=now)
    Cdr.objects.create(
        call_id="pbx1:1.1",
        node="pbx1",
        started_at=now,
        ended_at=now,
        duration_ms=0,
        talk_ms=0,
        billsec=0,
        disposition="no_route",
        ended_by="switch",
    )
    keys = {
        model._meta.label_lower: str(model._default_manager.values_list("pk", flat=True).first())
        for model in admin.site._registry
        if model._default_manager.exists()
    }
    change = Change.objects.filter(action=Change.Action.UPDATE, object_repr__contains="demo")
    return keys | {"calls.change": str(change.latest().pk)}


def test_every_role_reaches_what_the_document_says(rows, clean_redis):
    found = reach.matrix(rows)
    if os.environ.get("ROLES") == "1":
        DOCUMENT.write_text(found)
    assert found == DOCUMENT.read_text(), (
        "What the roles reach has changed. Look at it with ROLES=1 python -m pytest "
        "tests/access/test_roles.py && git diff docs/roles.md, and commit that if it is right."
    )


def held(role):
    return set(
        Group.objects.get(name=role).permissions.values_list("content_type__app_label", "codename")
    )


def test_the_roles_are_there_after_the_migration(db):
    assert set(ROLES) <= set(Group.objects.values_list("name", flat=True))
    assert held(OPERATOR) < held(ROUTING_MANAGER) < held(ADMIN)
    assert held(AUDITOR) < held(ADMIN)


def test_an_operator_looks_and_hangs_up_and_no_more(db):
    names = {name for _, name in held(OPERATOR)}
    assert {name for name in names if not name.startswith("view_")} == {"hangup_call"}
    assert "view_change" not in names
    assert "view_user" not in names


def test_an_auditor_changes_nothing(db):
    assert {name.partition("_")[0] for _, name in held(AUDITOR)} == {"view", "export"}


def test_a_routing_manager_lifts_no_limit_and_gives_no_rights(db):
    may = {name for _, name in held(ROUTING_MANAGER)}
    assert not may & {"change_limit", "delete_limit", "change_account", "change_user", "add_user"}


def test_a_group_that_was_changed_stays_so_when_migrations_run_again(db):
    group = Group.objects.get(name=OPERATOR)
    group.permissions.remove(Permission.objects.get(codename="hangup_call"))
    call_command("migrate", verbosity=0)
    assert ("calls", "hangup_call") not in held(OPERATOR)


def test_a_permission_that_is_new_is_granted_by_the_next_migration(db):
    group = Group.objects.get(name=ROUTING_MANAGER)
    Permission.objects.get(codename="add_block").delete()
    assert ("calls", "add_block") not in held(ROUTING_MANAGER)
    call_command("migrate", verbosity=0)
    assert ("calls", "add_block") in held(ROUTING_MANAGER)
    assert group.permissions.filter(codename="add_block").exists()


def test_no_page_of_the_admin_has_a_script_written_into_it(rows, admin_client, clean_redis):
    """The Content-Security-Policy would not run it."""
    written = re.compile(
        r"<script(?![^>]*\bsrc=)(?![^>]*\btype=[\"']application/json)(?![^>]*\bnonce=)[^>]*>"
        r"|<[a-z][^>]*\son[a-z]+=[\"']"
    )
    for pattern in reach.patterns():
        if not pattern.startswith("admin/"):
            continue
        answer = admin_client.get(reach.address(pattern, rows))
        if answer.status_code == 200 and not answer.streaming:
            found = written.search(answer.content.decode(errors="replace"))
            assert not found, f"/{pattern}: {found and found[0]}"
