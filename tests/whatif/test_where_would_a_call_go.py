"""manage.py route_number and its page in the admin: the live path's decision, with its reasons."""

import asyncio
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from calls.models import Account, Block, Route, RouteTarget, Trunk
from calls.store.directory import Directory
from calls.whatif import explanation
from calls.whatif.explanation import explain
from tests.routing.configured import MONDAY_NOON

pytestmark = pytest.mark.django_db

EVIL = "<script>alert(1)</script>"
PAGE = "/admin/calls/explain/"


@pytest.fixture
def account():
    return Account.objects.create(
        code="acme", name="Acme", country_code="33", national_prefix="0", time_zone="Europe/Paris"
    )


@pytest.fixture
def _routes(account):
    trunks = [
        Trunk.objects.create(name=name, dial_string="PJSIP/{number}@" + name, enabled=name != "b")
        for name in "ab"
    ]
    route = Route.objects.create(prefix="331")
    for priority, trunk in enumerate(reversed(trunks), start=1):
        RouteTarget.objects.create(route=route, trunk=trunk, priority=priority)
    Route.objects.create(prefix="3312", schedule="sat-sun")
    Block.objects.create(prefix="339", note=EVIL)
    Block.objects.create(side="caller", prefix="44", account=account)


def run(*arguments):
    """Exit code and output of the command."""
    out = StringIO()
    try:
        call_command("route_number", *arguments, stdout=out)
    except SystemExit as end:
        return end.code, out.getvalue()
    return 0, out.getvalue()


@pytest.mark.usefixtures("_routes")
def test_a_routed_number_shows_the_whole_way_and_exits_0():
    code, shown = run("0123456789", "--account", "acme", "--at", "2026-11-23T12:00")

    assert code == 0
    said = " ".join(shown.split())
    for words in (
        "acme",
        "33123456789",
        "national, with the account's national prefix",
        "no entry fits this call",
        "route 3312 (all) is outside its schedule sat-sun (Mon 13:00 in Europe/Paris)",
        "route 331 (all) is the route",
        "is disabled (priority 1",
        "dials PJSIP/33123456789@a with no caller's number",
        "33123456789 goes by route 331 (all) to a.",
        "as of Mon 2026-11-23 12:00:00 UTC",
    ):
        assert words in said


@pytest.mark.usefixtures("_routes")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("0912",), "Refused as blocked (cause 21): blocklist entry callee 339 (all): <script>"),
        (("0123", "--caller", "+442079"), "blocklist entry caller 44 (acme)"),
        (("0666",), "Refused as no_route (cause 1): no route of account acme has a prefix of"),
        (("1@evil",), "Refused as invalid_number (cause 28)"),
        (("0123", "--account", "nobody"), "Refused as unauthorized (cause 21): no account has"),
        (
            ("0123456789", "--at", "2026-11-28T12:00"),
            "Refused as no_route (cause 1): route 3312 (all) names no trunk.",
        ),
    ],
)
def test_a_refused_number_says_why_and_exits_1(arguments, sentence):
    code, shown = run(*arguments)

    assert code == 1
    assert sentence in " ".join(shown.split())


@pytest.mark.usefixtures("_routes")
def test_a_hostile_number_cannot_steer_the_terminal():
    assert "\x1b" not in run("\x1b[2J\u202e", "--caller", "\x1b]0;x\x07")[1]


@pytest.mark.usefixtures("_routes")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("0123", "--at", "noon"), "'noon' is no time"),
        (("0123", "--at", "2026-13-45T12:00"), "is no time"),
    ],
)
def test_a_question_that_cannot_be_asked_exits_2(arguments, sentence):
    with pytest.raises(CommandError, match=sentence) as refused:
        run(*arguments)
    assert refused.value.returncode == 2


def test_with_several_accounts_or_none_the_caller_must_be_named(account):
    Account.objects.create(code="other", name="Other")
    with pytest.raises(CommandError, match="--account CODE"):
        run("0123")
    Account.objects.all().delete()
    with pytest.raises(CommandError, match="no account yet"):
        run("0123")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_routes")
@pytest.mark.parametrize("dialled", ["0123456789", "+33123", "0912", "0666", "1@evil", "00", ""])
@pytest.mark.parametrize("caller", ["", "+442079", "0133"])
@pytest.mark.parametrize("code", ["acme", "nobody"])
def test_the_explanation_is_what_a_worker_decides(dialled, caller, code):
    explained = explain(dialled, account=code, caller=caller, at_ms=MONDAY_NOON)
    directory = Directory(settings.MAX_CALL_S)

    lived = asyncio.run(directory.find(explained.facts, 1))
    directory.close()

    assert lived == explained.found
    assert explained.found.steps != ()
    # What limits add comes after it: a worker asks at their counters later.
    assert lived.steps == explained.found.steps[: len(lived.steps)] != ()


@pytest.mark.usefixtures("_routes")
def test_the_page_shows_the_same_decision(admin_client):
    question = {"number": "0123456789", "account": "acme", "at": "2026-11-23 12:00"}
    page = admin_client.get(PAGE, question).content.decode()

    assert "33123456789 goes by route 331 (all) to a." in page
    assert "route 3312 (all) is outside its schedule sat-sun (Mon 13:00 in Europe/Paris)" in page
    assert "As of Monday 2026-11-23 12:00:00 UTC, Monday 13:00 in Europe/Paris." in page
    assert "dials PJSIP/33123456789@a with no caller" in page


@pytest.mark.usefixtures("_routes")
def test_the_page_escapes_all_that_people_wrote(admin_client):
    for question in (
        {"number": "0912", "account": "acme"},
        {"number": EVIL, "account": EVIL, "caller": EVIL, "at": EVIL},
        {"number": EVIL, "account": "acme", "caller": EVIL},
    ):
        response = admin_client.get(PAGE, question)
        assert response.status_code == 200
        page = response.content.decode()
        assert EVIL not in page
        assert "&lt;script&gt;alert(1)" in page


def test_the_page_begins_with_a_question(admin_client):
    page = admin_client.get(PAGE).content.decode()

    assert "Show the decision" in page
    assert "verdict" not in page
    assert "This field is required" not in page


def test_a_question_that_lacks_something_is_not_answered(admin_client):
    page = admin_client.get(PAGE, {"number": "1", "at": "noon"}).content.decode()

    assert "This field is required" in page
    assert "Enter a valid date/time" in page
    assert 'id="verdict"' not in page


def test_the_page_says_when_the_database_does_not_answer(admin_client, monkeypatch):
    def gone(*args):
        raise DatabaseError("it is away\nDETAIL: secret")

    monkeypatch.setattr(explanation, "look_up", gone)
    page = admin_client.get(PAGE, {"number": "1", "account": "acme"}).content.decode()

    assert "The routing database does not answer: it is away" in page
    assert "secret" not in page


@pytest.mark.parametrize("granted", [(), ("view_route",), ("view_route", "view_trunk")])
def test_the_page_is_for_those_who_may_see_all_that_it_shows(client, django_user_model, granted):
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("eve", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=granted))
    client.force_login(user)

    assert client.get(PAGE, {"number": "1", "account": "acme"}).status_code == 403


def test_the_page_is_not_for_strangers_and_changes_nothing(client, admin_client):
    assert client.get(PAGE).status_code == 302
    assert admin_client.post(PAGE, {"number": "1"}).status_code == 405
