"""The last change of a row is taken back by a click; others, and those of rights, are not."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command

from calls.models import Account, Change, Limit, Route, RouteTarget, Trunk


@pytest.fixture(autouse=True)
def bumps(monkeypatch):
    told = []
    monkeypatch.setattr("calls.store.config_version.bump", lambda: told.append(1))
    return told


@pytest.fixture
def revert(admin_client, django_capture_on_commit_callbacks):
    def revert(change, client=admin_client):
        address = f"/admin/calls/change/{change.pk}/revert/"
        with django_capture_on_commit_callbacks(execute=True):
            return client.post(address, follow=True)

    return revert


def said(page):
    return [str(message) for message in page.context["messages"]]


def changed(row, **values):
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return Change.objects.latest()


def test_the_values_of_before_are_put_back_and_that_is_noted_too(revert):
    account = Account.objects.create(code="demo", name="Demo", max_call_s=60)
    page = revert(changed(account, name="New", max_call_s=None, enabled=False))
    account.refresh_from_db()
    assert (account.name, account.max_call_s, account.enabled) == ("Demo", 60, True)
    assert "is again as before this change" in said(page)[0]
    back = Change.objects.latest()
    assert back.changes["name"] == ["New", "Demo"]
    assert back.who == "admin"


def test_a_link_alone_reverts_nothing_and_asks(admin_client, db):
    account = Account.objects.create(code="demo", name="Demo")
    change = changed(account, name="New")
    page = admin_client.get(f"/admin/calls/change/{change.pk}/revert/").content.decode()
    assert "name: New → Demo" in page
    account.refresh_from_db()
    assert account.name == "New"


def test_moments_and_references_are_put_back(revert):
    one, two = (Account.objects.create(code=code, name=code) for code in ("one", "two"))
    at = datetime(2026, 1, 31, 8, 30, 15, 123456, tzinfo=UTC)
    route = Route.objects.create(prefix="49", action="block", account=one, valid_from=at)
    revert(changed(route, account=two, valid_from=None))
    route.refresh_from_db()
    assert (route.account, route.valid_from) == (one, at)
    revert(changed(route, account=None, valid_from=datetime(2026, 2, 1, tzinfo=UTC)))
    route.refresh_from_db()
    assert (route.account, route.valid_from) == (one, at)


def test_a_change_that_was_changed_again_is_not_reverted(revert):
    account = Account.objects.create(code="demo", name="Demo")
    first = changed(account, name="New")
    changed(account, name="Newer")
    assert "Not reverted: name has been changed since" in said(revert(first))[0]
    account.refresh_from_db()
    assert account.name == "Newer"


def test_what_is_no_longer_possible_is_not_put_back(revert):
    account = Account.objects.create(code="demo", name="Demo")
    change = changed(account, code="other")
    Account.objects.create(code="demo", name="Another")
    assert "Not reverted:" in said(revert(change))[0]
    account.refresh_from_db()
    assert account.code == "other"


def test_a_row_that_is_gone_is_not_made_again(revert):
    account = Account.objects.create(code="demo", name="Demo")
    change = changed(account, name="New")
    account.delete()
    assert "the row is gone" in said(revert(change))[0]


@pytest.fixture
def imported(db, tmp_path):
    for name in "ab":
        Trunk.objects.create(name=name, dial_string="PJSIP/{number}@" + name)
    route = Route.objects.create(prefix="49", note="=old;-1")
    RouteTarget.objects.create(
        route=route, trunk=Trunk.objects.get(name="a"), weight=7, add_prefix="+"
    )
    file = tmp_path / "deck.csv"
    file.write_text("prefix,account,action,targets,note\n49,,route,b:2,new\n33,,block,,\n")
    call_command("import_routes", str(file))
    return Change.objects.get(object_id=route.pk, via__gt="", object_repr="49 of all")


def test_a_route_of_an_imported_file_is_put_back_with_its_trunks(revert, imported, bumps):
    bumps.clear()
    revert(imported)
    target = RouteTarget.objects.get()
    assert (target.trunk.name, target.weight, target.add_prefix) == ("a", 7, "+")
    assert Route.objects.get(prefix="49").note == "=old;-1"
    assert bumps
    assert Route.objects.filter(prefix="33").exists()


def test_an_imported_route_that_was_changed_since_is_left(revert, imported):
    RouteTarget.objects.update(weight=5)
    assert "has been changed since" in said(revert(imported))[0]
    assert RouteTarget.objects.get().weight == 5


def test_an_imported_route_whose_trunk_is_gone_is_left(revert, imported):
    Trunk.objects.filter(name="a").delete()
    assert "no longer possible" in said(revert(imported))[0]


def test_who_may_not_make_the_change_may_not_revert_it(client, db, revert):
    limit = Limit.objects.create(scope="global", metric="concurrent", value=5)
    change = changed(limit, value=500)
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_change", "view_limit")))
    client.force_login(user)
    assert revert(change, client).status_code == 403
    assert b"Revert" not in client.get(f"/admin/calls/change/{change.pk}/change/").content
    limit.refresh_from_db()
    assert limit.value == 500


def test_rights_and_new_rows_are_not_reverted_by_a_click(revert, db):
    user = User.objects.create_user("kim")
    user.is_staff = True
    user.save()
    assert revert(Change.objects.filter(content_type__model="user").latest()).status_code == 403
    Account.objects.create(code="demo", name="Demo")
    assert revert(Change.objects.filter(content_type__model="account").latest()).status_code == 403
    assert Account.objects.exists()
