"""The lists that fields of forms are filled from: every relation there is, asked for by everybody.

Django answers for any relation that a request names, whether a form uses it or not.
"""

import json

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from calls.models import (
    Account,
    ApiToken,
    Block,
    Canary,
    CanaryTarget,
    Drain,
    Limit,
    Route,
    RouteTarget,
    Trunk,
    WebhookEndpoint,
)
from project.access.roles import ROLES
from tests.access.reach import STAFF, user_of

pytestmark = pytest.mark.migrated
SECRET = "zq"
"""Stands in every column of every row that somebody may look for."""
HIDDEN = ("hz1", "hz2", "hz3")
"""Stand in columns that no list of suggestions is searched by."""


def relations():
    """(app, model, field, the model that it leads to) of every one, shown by a form or not."""
    return sorted(
        (model._meta.app_label, model._meta.model_name, field.name, field.remote_field.model)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if field.is_relation and field.remote_field and not field.auto_created
        if isinstance(field.remote_field.model, type)
    )


RELATIONS = relations()


@pytest.fixture
def rows(db):
    """A row of each, with the secret in it."""
    account = Account.objects.create(code=f"{SECRET}-a", name=f"{SECRET}-name", caller_id="4930100")
    trunk = Trunk.objects.create(name=f"{SECRET}-t", dial_string=f"PJSIP/{{number}}@{SECRET}")
    route = Route.objects.create(prefix="49", account=account, note=SECRET)
    RouteTarget.objects.create(route=route, trunk=trunk)
    canary = Canary.objects.create(route=route, stage_at=timezone.now())
    CanaryTarget.objects.create(canary=canary, trunk=trunk)
    Block.objects.create(side="callee", prefix="4490", note=SECRET)
    Drain.objects.create(kind="trunk", trunk=trunk)
    Limit.objects.create(
        scope="account", account=account, metric="concurrent", value=5, note=HIDDEN[0]
    )
    ApiToken.objects.create(
        name=SECRET, key=f"{HIDDEN[1]}000", digest=HIDDEN[1], scopes="cdrs:read", account=account
    )
    WebhookEndpoint.objects.create(
        name=SECRET,
        url=f"https://{SECRET}.example/",
        events="call.ended",
        salt=HIDDEN[2],
        proof=HIDDEN[2],
    )
    User.objects.create_user(f"{SECRET}-user", email=f"{SECRET}@x.example", password="hidden")


def ask(client, app, model, field, term=""):
    query = {"app_label": app, "model_name": model, "field_name": field, "term": term}
    answer = client.get("/admin/autocomplete/", query)
    text = answer.content.decode()
    found = json.loads(text)["results"] if answer.status_code == 200 else []
    return answer.status_code, [row["text"] for row in found], text


def may_see(user, model):
    return user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}") or user.has_perm(
        f"{model._meta.app_label}.change_{model._meta.model_name}"
    )


def is_searched(model):
    page = admin.site._registry.get(model)
    return page is not None and bool(page.search_fields)


def test_there_are_relations_to_all_that_is_worth_a_look():
    reached = {remote._meta.label for *_, remote in RELATIONS}

    assert {"calls.Account", "calls.Trunk", "calls.Route", "auth.User", "auth.Group"} <= reached
    assert len(RELATIONS) > 20


@pytest.mark.parametrize("person", [STAFF, *ROLES])
def test_a_role_gets_rows_of_models_that_it_may_see_and_no_others(rows, client, person):
    user = user_of(person)
    client.force_login(user)
    given = 0
    for app, model, field, remote in RELATIONS:
        status, found, text = ask(client, app, model, field)
        allowed = may_see(user, remote) and is_searched(remote)
        assert (status == 200) == allowed, (app, model, field, status)
        if not allowed:
            assert SECRET not in text, (app, model, field, text)
        given += len(found)
    assert (given == 0) == (person == STAFF)


def test_who_is_not_signed_in_gets_none(rows, client):
    for app, model, field, _ in RELATIONS:
        status, _, text = ask(client, app, model, field)
        assert status in (302, 403), (app, model, field)
        assert SECRET not in text


@pytest.mark.parametrize(
    "seen", sorted({remote._meta.label_lower for *_, remote in RELATIONS if is_searched(remote)})
)
def test_one_permission_gives_the_rows_of_one_model(rows, client, seen):
    """Every other right of a clerk's, on the form that the field stands in, gives none of them."""
    remote = apps.get_model(seen)
    own = f"view_{remote._meta.model_name}"
    for name, codenames in (
        ("only", Permission.objects.filter(codename=own)),
        ("all-but", Permission.objects.exclude(content_type__model=remote._meta.model_name)),
    ):
        clerk = User.objects.create_user(f"{name}-{remote._meta.model_name}", is_staff=True)
        clerk.user_permissions.set(codenames)
        client.force_login(clerk)
        for app, model, field, to in RELATIONS:
            status, found, _ = ask(client, app, model, field)
            sees = (to is remote) if name == "only" else (to is not remote)
            assert (status == 200) == (sees and is_searched(to)), (name, app, model, field, status)
            if to is remote and name == "all-but":
                assert found == []


@pytest.mark.parametrize("term", [*HIDDEN, "md5$", "pbkdf2", "PJSIP/", "unset"])
def test_nothing_is_found_by_a_column_that_its_list_does_not_search(rows, client, term):
    """Who may see everything still learns no secret sign by sign."""
    client.force_login(User.objects.create_superuser("root"))
    for app, model, field, remote in RELATIONS:
        _, found, _ = ask(client, app, model, field, term)
        assert not found or (term == "PJSIP/" and remote is Trunk), (app, model, field, found)


def test_no_list_finds_rows_by_a_secret_of_theirs(rows, client, clean_redis):
    client.force_login(User.objects.create_superuser("root"))
    for term in (*HIDDEN[1:], "md5$", "pbkdf2"):
        for model, page in admin.site._registry.items():
            if not page.search_fields:
                continue
            address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            answer = client.get(address, {"q": term}, follow=True)
            if "cl" not in (answer.context or {}):
                continue
            assert answer.context["cl"].result_count == 0, (address, term)
