"""A program of the staff makes, changes, tests and deletes webhooks by the rules of the admin."""

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from calls.models import Change, WebhookDelivery, WebhookEndpoint
from calls.models.webhooks import secret_text
from calls.store.outbox import ended
from project.access.roles import OPERATOR
from tests.api.test_who_may_ask import problem
from tests.cdr.made_up import record

CRM = {"name": "crm", "url": "https://crm.example/hook", "events": ["call.ended", "call.begun"]}


@pytest.fixture(autouse=True)
def redis(clean_redis):
    return clean_redis


@pytest.fixture
def ask(boss, program):
    return program(boss)


@pytest.fixture
def made(ask):
    """One webhook, as the API told of it."""
    return ask("post", "webhooks", CRM).json()


def test_one_is_made_and_its_secret_told_in_that_answer_alone(ask):
    answer = ask("post", "webhooks", CRM)
    assert answer.status_code == 201, answer.content
    assert answer["Cache-Control"] == "no-store"
    told = answer.json()
    secret = told.pop("secret")
    assert secret.startswith("whsec_")
    row = WebhookEndpoint.objects.get()
    assert len(row.signing_secrets()) == 1
    shown = ask("get", f"webhooks/{told['id']}")
    assert shown.json() == told
    assert told["events"] == CRM["events"]
    for page in (shown, ask("get", "webhooks")):
        assert secret not in page.content.decode()
    changes = str(list(Change.objects.values()))
    assert secret not in changes
    assert row.salt not in changes


def test_the_secret_that_is_told_is_the_one_that_signs(ask, made):
    assert _secrets() == [made["secret"]]


def test_one_is_changed_field_by_field_and_deleted(ask, made, acme):
    path = f"webhooks/{made['id']}"
    changed = ask("patch", path, {"events": ["call.ended"], "account": "acme"}).json()
    assert (changed["events"], changed["account"]) == (["call.ended"], "acme")
    assert (changed["url"], changed["enabled"]) == (CRM["url"], True)
    assert ask("patch", path, {"account": None}).json()["account"] is None
    assert ask("delete", path).status_code == 204
    problem(ask("get", path), 404, "not-found")
    problem(ask("delete", path), 404, "not-found")


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
        ({"url": "https://127。0。0。1/"}, "url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "http://crm.example/"}, "url"),
        ({"url": "https://user:secret@crm.example/"}, "url"),
        ({"url": None}, "url"),
        ({"events": []}, "events"),
        ({"events": ["call.lost"]}, "events"),
        ({"events": ["trunk.down"], "account": "acme"}, "events"),
        ({"account": "nobody"}, "account"),
        ({"name": ""}, "name"),
    ],
)
def test_what_the_admin_refuses_is_refused(ask, made, acme, told, field):
    for answer in (
        ask("post", "webhooks", CRM | {"name": "other"} | told),
        ask("patch", f"webhooks/{made['id']}", told),
    ):
        wrong = problem(answer, 422, "invalid")["errors"]
        assert [each["field"] for each in wrong] == [field]
    (row,) = WebhookEndpoint.objects.all()
    assert (row.url, row.events) == (CRM["url"], "call.ended call.begun")


def test_a_name_stands_once(ask, made):
    wrong = problem(ask("post", "webhooks", CRM), 422, "invalid")["errors"]
    assert [each["field"] for each in wrong] == ["name"]


def test_the_audit_log_names_the_token(boss, ask, made):
    ask("patch", f"webhooks/{made['id']}", {"events": ["call.ended"]})
    ask("post", f"webhooks/{made['id']}/secret")
    ask("delete", f"webhooks/{made['id']}")
    changes = Change.objects.filter(object_repr="crm").order_by("id")
    assert [each.action for each in changes] == [
        Change.Action.CREATE,
        Change.Action.UPDATE,
        Change.Action.UPDATE,
        Change.Action.DELETE,
    ]
    assert {(each.who, each.via, each.actor) for each in changes} == {("token crm-1", "API", boss)}
    assert changes[2].changes == {"secret": ["the former one", "a new one"]}


def test_one_that_was_disabled_begins_anew(ask, made):
    path = f"webhooks/{made['id']}"
    why = {"enabled": False, "disabled_because": "gone", "failing_since": timezone.now()}
    WebhookEndpoint.objects.update(**why)
    assert ask("patch", path, {"name": "crm2"}).json()["disabled_because"] == "gone"
    told = ask("patch", path, {"enabled": True}).json()
    assert (told["enabled"], told["disabled_because"], told["failing_since"]) == (True, "", None)


def test_a_new_secret_is_told_once_and_the_former_signs_along(ask, made):
    answer = ask("post", f"webhooks/{made['id']}/secret")
    assert answer["Cache-Control"] == "no-store"
    assert _secrets() == [answer.json()["secret"], made["secret"]]


def test_a_test_message_waits_for_the_sender_and_is_found_by_its_id(ask, made):
    answer = ask("post", f"webhooks/{made['id']}/test")
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert (told["event"], told["state"], told["webhook"]) == ("webhook.test", "waiting", "crm")
    (row,) = ask("get", f"webhooks/deliveries?message_id={told['message_id']}").json()["rows"]
    assert row["id"] == told["id"]
    again = ask("post", f"webhooks/{made['id']}/test").json()
    assert again["message_id"] != told["message_id"]
    change = Change.objects.get(object_id=told["id"], object_repr__contains=told["message_id"])
    assert change.who == "token crm-1"


def test_one_that_is_disabled_is_not_tested(ask, made):
    ask("patch", f"webhooks/{made['id']}", {"enabled": False})
    problem(ask("post", f"webhooks/{made['id']}/test"), 409, "disabled")
    assert not WebhookDelivery.objects.exists()


def test_what_failed_is_sent_again(ask, made):
    ended([record("pbx1:1")])
    WebhookDelivery.objects.update(state="failed", attempts=12)
    key = WebhookDelivery.objects.get().pk
    told = ask("post", f"webhooks/deliveries/{key}/again").json()
    assert (told["state"], told["attempts"]) == ("waiting", 0)
    assert WebhookDelivery.objects.get().sent_again_by == "token crm-1"
    problem(ask("post", "webhooks/deliveries/999/again"), 404, "not-found")


WRITES = [
    ("post", "webhooks", CRM),
    ("patch", "webhooks/{}", {"enabled": False}),
    ("delete", "webhooks/{}", None),
    ("post", "webhooks/{}/secret", None),
    ("post", "webhooks/{}/test", None),
    ("post", "webhooks/deliveries/1/again", None),
]


@pytest.mark.parametrize(("method", "path", "told"), WRITES)
def test_only_who_may_in_the_admin_and_has_the_scope(program, boss, acme, made, method, path, told):
    path = path.format(made["id"])
    looker = User.objects.create_user("olga", is_staff=True)
    looker.groups.add(Group.objects.get(name=OPERATOR))
    others = [
        (program(boss, "config:read config:write"), "no-scope"),
        (program(acme), "no-scope"),
        (program(looker), "no-permission"),
    ]
    if path.endswith("again"):
        # Operators may send again.
        others.pop()
    for ask, name in others:
        problem(ask(method, path, told), 403, name)
    assert WebhookEndpoint.objects.get().enabled
    assert not WebhookDelivery.objects.exists()


def test_every_address_that_writes_was_asked(stranger):
    paths = stranger("get", "openapi.json").json()["paths"]
    there = {
        (method, path.removeprefix("/api/v1/").replace("{key}", "{}"))
        for path, methods in paths.items()
        for method in methods
        if "/webhooks" in path and method != "get"
    }
    asked = {
        (method, path.replace("deliveries/1/", "deliveries/{}/")) for method, path, _ in WRITES
    }
    assert there == asked


def _secrets():
    return [secret_text(each) for each in WebhookEndpoint.objects.get().signing_secrets()]
