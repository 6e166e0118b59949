"""Who may not see trunks does not see or use them by a file, a form, an export or an answer."""

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile

from calls.admin.explanation import MAY_ASK
from calls.models import Account, Route, RouteTarget, Trunk

ROUTES = ("view_route", "add_route", "change_route", "delete_route")
TARGETS = ("view_routetarget", "add_routetarget", "change_routetarget", "delete_routetarget")
SEEN = ("view_trunk", "view_account")
SECRET = "secret-trunk"


@pytest.fixture
def secret_route(db):
    trunk = Trunk.objects.create(name=SECRET, dial_string="PJSIP/{number}@s")
    Account.objects.create(code="demo", name="Demo")
    route = Route.objects.create(prefix="49")
    RouteTarget.objects.create(route=route, trunk=trunk)
    return route


@pytest.fixture
def clerk(client, django_user_model, secret_route):
    """Signs somebody in who has these permissions only."""

    def clerk(*names):
        user = django_user_model.objects.create_user("clerk", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return clerk


def upload(client):
    data = f"prefix,account,action,targets\n33,,route,{SECRET}\n".encode()
    return client.post("/admin/calls/route/import/", {"file": SimpleUploadedFile("d.csv", data)})


@pytest.mark.parametrize("missing", [*TARGETS[1:], *SEEN, "add_route", "change_route"])
def test_a_file_is_imported_only_with_every_permission_it_uses(clerk, missing):
    everything = {*ROUTES, *TARGETS, *SEEN}
    # To change is to see as well; here it must be the one thing only.
    client = clerk(*(everything - {missing}))
    assert upload(client).status_code == 403
    assert not Route.objects.filter(prefix="33").exists()


def test_with_all_of_them_it_is_imported(clerk):
    assert upload(clerk(*ROUTES, *TARGETS, *SEEN)).status_code == 200


@pytest.mark.parametrize("missing", ["view_routetarget", "view_trunk", "view_account"])
def test_an_export_is_for_those_who_may_see_what_is_in_it(clerk, missing):
    client = clerk(*({"view_route", "view_routetarget", "view_trunk", "view_account"} - {missing}))
    assert client.get("/admin/calls/route/export/").status_code == 403
    chosen = {"action": "export_selected", "_selected_action": [Route.objects.get().pk]}
    assert "csv" not in client.post("/admin/calls/route/", chosen, follow=True)["Content-Type"]


@pytest.mark.parametrize("names", [ROUTES, (*ROUTES, *TARGETS)])
@pytest.mark.parametrize("page", ["", "{}/change/", "add/"])
def test_pages_of_routes_do_not_name_trunks_that_may_not_be_seen(clerk, names, page):
    client = clerk(*names)
    answer = client.get("/admin/calls/route/" + page.format(Route.objects.get().pk))
    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()


def test_a_form_does_not_use_a_trunk_that_may_not_be_seen(clerk):
    client = clerk(*ROUTES, *TARGETS)
    client.post(
        "/admin/calls/route/add/",
        {
            "prefix": "33",
            "action": "route",
            "enabled": "on",
            "targets-TOTAL_FORMS": "1",
            "targets-INITIAL_FORMS": "0",
            "targets-0-trunk": str(Trunk.objects.get().pk),
            "targets-0-priority": "1",
            "targets-0-weight": "100",
        },
    )
    assert RouteTarget.objects.count() == 1


@pytest.mark.parametrize("missing", MAY_ASK)
def test_an_explanation_is_for_those_who_may_see_all_that_decides(clerk, missing, clean_redis):
    names = {name.partition(".")[2] for name in MAY_ASK} - {missing.partition(".")[2]}
    client = clerk(*names)
    asked = {"number": "49301", "account": "demo"}
    assert client.get("/admin/calls/explain/", asked).status_code == 403
    assert b"Where would it go?" not in client.get("/admin/calls/route/", follow=True).content


def test_with_all_of_them_it_is_explained(clerk, clean_redis):
    client = clerk(*(name.partition(".")[2] for name in MAY_ASK))
    answer = client.get("/admin/calls/explain/", {"number": "49301", "account": "demo"})
    assert SECRET in answer.content.decode()


@pytest.mark.parametrize("missing", ["view_cdr", "view_trunk"])
def test_a_change_is_replayed_for_those_who_may_see_calls_and_trunks(clerk, missing):
    client = clerk(*({*ROUTES, *TARGETS, "view_trunk", "view_cdr"} - {missing}))
    route = Route.objects.get()
    page = f"/admin/calls/route/{route.pk}/change/"
    assert b"What would this change?" not in client.get(page).content
    assert client.post(page, {"_replay": "", "prefix": "49"}).status_code == 403
