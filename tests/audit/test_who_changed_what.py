"""Every change is noted with who, what, from, to, when and from where, by whatever way it came."""

import getpass
import os
import subprocess
import sys

import pytest
from auditlog.registry import auditlog
from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from calls.models import (
    Account,
    ApiToken,
    Block,
    Change,
    Limit,
    Route,
    RouteTarget,
    Trunk,
    WebhookEndpoint,
)

FORM = {"code": "demo", "name": "Demo", "enabled": "on", "time_zone": "UTC"}


@pytest.fixture(autouse=True)
def bumps(monkeypatch):
    monkeypatch.setattr("calls.store.config_version.bump", lambda: True)


@pytest.fixture
def kim(client, db):
    user = User.objects.create_superuser("kim", password="x")
    client.force_login(user)
    Change.objects.all().delete()
    return user


def noted(**wanted):
    return Change.objects.filter(**wanted).latest()


def test_a_change_in_the_admin(client, kim):
    client.post("/admin/calls/account/add/", FORM, REMOTE_ADDR="192.0.2.5")
    account = Account.objects.get()
    made = noted(action=Change.Action.CREATE, object_id=account.pk)
    assert made.changes["code"] == [None, "demo"]
    client.post(
        f"/admin/calls/account/{account.pk}/change/",
        FORM | {"name": "New"},
        REMOTE_ADDR="192.0.2.5",
    )
    change = noted(action=Change.Action.UPDATE)
    assert (change.who, change.via, change.remote_addr) == ("kim", "admin", "192.0.2.5")
    assert change.changes == {"name": ["Demo", "New"]}
    client.post(f"/admin/calls/account/{account.pk}/delete/", {"post": "yes"})
    assert noted(action=Change.Action.DELETE).changes["name"] == ["New", None]


def test_a_change_of_trunks_in_a_routes_form(client, kim):
    trunk = Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a")
    client.post(
        "/admin/calls/route/add/",
        {
            "prefix": "49",
            "action": "route",
            "enabled": "on",
            "targets-TOTAL_FORMS": "1",
            "targets-INITIAL_FORMS": "0",
            "targets-0-trunk": str(trunk.pk),
            "targets-0-priority": "1",
            "targets-0-weight": "100",
        },
    )
    target = RouteTarget.objects.get()
    assert noted(content_type__model="routetarget").changes["trunk"] == [None, trunk.pk]
    assert noted(content_type__model="routetarget").object_id == target.pk


def test_a_deletion_of_many_in_a_list(client, kim):
    rows = [Block.objects.create(side="callee", prefix=str(number)) for number in (1, 2, 3)]
    client.post(
        "/admin/calls/block/",
        {"action": "delete_selected", "_selected_action": [r.pk for r in rows], "post": "yes"},
    )
    deleted = Change.objects.filter(action=Change.Action.DELETE, who="kim")
    assert set(deleted.values_list("object_id", flat=True)) == {row.pk for row in rows}


def test_rights_that_are_given(client, kim):
    group = Group.objects.create(name="clerks")
    group.permissions.set(Permission.objects.filter(codename="view_route"))
    other = User.objects.create_user("other")
    other.groups.add(group)
    assert "view route" in str(noted(content_type__model="group").changes)
    assert "clerks" in str(noted(content_type__model="user").changes)


def test_a_password_is_noted_as_changed_and_not_shown(client, kim):
    kim.set_password("hunter2")
    kim.save()
    change = noted(content_type__model="user")
    assert "password" in change.changes
    assert kim.password not in str(change.changes)


def test_a_file_imported_in_the_admin(client, kim):
    Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a")
    Route.objects.create(prefix="33", note="old", action="block")
    data = b"prefix,account,action,targets,note\n49,,route,a,\n33,,block,,new\n"
    page = client.post("/admin/calls/route/import/", {"file": SimpleUploadedFile("deck.csv", data)})
    carried = page.context["preview"]["carried"]
    client.post("/admin/calls/route/import/", {"carried": carried}, REMOTE_ADDR="192.0.2.9")
    added = noted(object_repr="49 of all")
    changed = noted(object_repr="33 of all")
    assert changed.changes == {"note": ["old", "new"]}
    assert added.changes["targets"] == [None, "a:1:100"]
    assert {added.who, changed.who} == {"kim"}
    assert {added.remote_addr, changed.remote_addr} == {"192.0.2.9"}
    assert added.cid == changed.cid != ""


def test_a_file_imported_by_a_command(tmp_path, db):
    Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a")
    Route.objects.create(prefix="33", action="block")
    file = tmp_path / "deck.csv"
    file.write_text("prefix,account,action,targets\n49,,route,a\n")
    call_command("import_routes", str(file), "--delete-missing")
    assert noted(object_repr="49 of all").who.startswith(f"{getpass.getuser()}@")
    assert noted(object_repr="33 of all").action == Change.Action.DELETE


def test_a_command_says_its_name(tmp_path):
    code = (
        "import sys; sys.argv = ['manage.py', 'import_routes', 'x.csv']; import django; "
        "django.setup(); from calls.models.changes import actor; print(actor().via)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "manage.py import_routes\n"


def test_a_preview_of_what_a_change_would_do_is_no_change(client, kim):
    account = Account.objects.create(code="demo", name="Demo")
    Change.objects.all().delete()
    page = f"/admin/calls/account/{account.pk}/change/"
    client.post(page, FORM | {"name": "New", "_replay": ""})
    assert not Change.objects.exists()


def test_entries_stay_when_the_user_is_deleted(client, kim):
    client.post("/admin/calls/account/add/", FORM, REMOTE_ADDR="192.0.2.5")
    User.objects.create_superuser("boss")
    kim.delete()
    made = noted(content_type__model="account")
    assert (made.who, made.actor, made.remote_addr) == ("kim", None, "192.0.2.5")


def test_the_log_is_searched_by_who_and_by_what(client, kim):
    client.post("/admin/calls/account/add/", FORM)
    for words, found in (("kim", True), ("KI", False), ("Demo", True), ("nobody", False)):
        page = client.get("/admin/calls/change/", {"q": words}).content.decode()
        assert ("code: nothing → demo" in page) is found


def test_the_log_is_changed_by_nobody(client, kim):
    client.post("/admin/calls/account/add/", FORM)
    row = f"/admin/calls/change/{noted(content_type__model='account').pk}"
    before = Change.objects.count()
    assert client.get("/admin/calls/change/add/").status_code == 403
    assert client.post(f"{row}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{row}/change/", {"who": "x"}).status_code == 403
    assert Change.objects.count() == before
    assert client.get(f"{row}/change/").status_code == 200


def test_hostile_names_are_escaped(client, kim):
    client.post("/admin/calls/account/add/", FORM | {"name": "<script>x</script>"})
    row = noted(content_type__model="account")
    for page in ("/admin/calls/change/", f"/admin/calls/change/{row.pk}/change/"):
        assert b"<script>x" not in client.get(page).content


def test_whatever_the_admin_can_change_is_audited(rf, kim):
    """A new page must say in its app's ready() that its model is audited."""
    request = rf.get("/")
    request.user = kim
    apart = {"axes.accessattempt"}
    missing = [
        model._meta.label_lower
        for model, page in admin.site._registry.items()
        if (page.has_change_permission(request) or page.has_delete_permission(request))
        and not auditlog.contains(model)
        and model._meta.label_lower not in apart
    ]
    assert missing == []


def test_a_new_secret_of_a_token_or_a_webhook(client, kim):
    token = ApiToken(name="crm", scopes="cdrs:read", user=kim)
    token.new_secret()
    token.save()
    webhook = WebhookEndpoint.objects.create(name="crm", url="https://crm.example/", events="")
    for row in (token, webhook):
        address = f"/admin/calls/{row._meta.model_name}/"
        answer = client.post(address, {"action": "new_secret", "_selected_action": row.pk})
        assert answer.status_code == 200
        change = noted(content_type__model=row._meta.model_name, object_id=row.pk)
        assert (change.who, change.changes) == ("kim", {"secret": ["the former one", "a new one"]})
        listed = client.get(f"/admin/calls/change/{change.pk}/change/").content.decode()
        assert "secret: the former one → a new one" in listed
        assert "Revert" not in listed


def test_a_second_factor_that_is_set_up_renewed_and_removed(client, kim):
    def code(later=0):
        device = TOTPDevice.objects.get(user=kim)
        return f"{totp(device.bin_key, drift=later):06}"

    address = "/admin/second-factor/"
    client.get(address)
    client.post(address, {"code": code()})
    assert noted(object_id=kim.pk).changes == {"second factor": ["none", "set up"]}
    client.post(address, {"code": code(1), "new_codes": "1"})
    assert noted(object_id=kim.pk).changes == {"recovery codes": ["the former ones", "new ones"]}
    client.post("/admin/auth/user/", {"action": "remove_second_factor", "_selected_action": kim.pk})
    change = noted(object_id=kim.pk)
    assert (change.who, change.changes) == ("kim", {"second factor": ["set up", "removed"]})


def test_a_lock_that_is_opened_and_totals_that_are_set_back(client, kim, clean_redis):
    attempt = AccessAttempt.objects.create(
        username="eve", ip_address="192.0.2.1", attempt_time=timezone.now(), failures_since_start=5
    )
    chosen = {"action": "delete_selected", "_selected_action": attempt.pk, "post": "yes"}
    client.post("/admin/axes/accessattempt/", chosen)
    assert not AccessAttempt.objects.exists()
    change = noted(content_type__model="accessattempt")
    assert (change.who, change.changes) == ("kim", {"wrong sign-ins": ["5", "forgotten"]})

    limit = Limit.objects.create(scope="global", metric="cps", value=5)
    client.post("/admin/calls/limit/", {"action": "set_totals_back", "_selected_action": limit.pk})
    change = noted(content_type__model="limit", object_id=limit.pk)
    assert (change.who, change.changes) == ("kim", {"totals": ["what was counted", "0"]})
