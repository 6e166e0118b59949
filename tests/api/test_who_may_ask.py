"""Only tokens that are valid, have the scope and whose holder may, get an answer."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from calls.api import auth
from calls.models import Account, ApiToken
from calls.models.tokens import SCOPES, token_of
from project.access.roles import OPERATOR
from tests.api.conftest import Program

pytestmark = pytest.mark.usefixtures("clean_redis")


def problem(answer, status, name):
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told["type"] == f"urn:ringmaster:problem:{name}"
    assert told["status"] == status
    assert told["detail"]
    return told


def test_without_a_token_nothing_is_answered(stranger):
    answer = stranger("get", "cdrs")
    problem(answer, 401, "no-token")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1] + "~", lambda t: "x" + t, lambda t: t + "x" * 99]
)
def test_a_token_that_is_not_quite_one_is_none(acme, token_for, change):
    token = token_for(acme)
    assert Program(token)("get", "cdrs").status_code == 200
    problem(Program(change(token))("get", "cdrs"), 401, "wrong-token")


def test_the_secret_is_nowhere_in_the_database(acme, token_for):
    secret = token_for(acme).split("_", 2)[2]
    row = ApiToken.objects.values().get()
    assert secret not in str(row)
    assert len(row["digest"]) == 64


def test_who_reads_the_digest_cannot_use_it(acme, token_for):
    token_for(acme)
    row = ApiToken.objects.get()
    assert token_of(f"rm_{row.key}_{row.digest}") is None


def test_a_token_that_is_disabled_expired_or_of_a_disabled_account_is_refused(acme, program):
    ask = program(acme)
    assert ask("get", "cdrs").status_code == 200
    for field, wrong, right in (
        ("enabled", False, True),
        ("expires_at", timezone.now() - timedelta(seconds=1), None),
    ):
        ApiToken.objects.update(**{field: wrong})
        problem(ask("get", "cdrs"), 401, "wrong-token")
        ApiToken.objects.update(**{field: right})
    Account.objects.update(enabled=False)
    problem(ask("get", "cdrs"), 401, "wrong-token")


def test_a_users_token_ends_with_the_user(boss, program):
    ask = program(boss)
    assert ask("get", "cdrs").status_code == 200
    User.objects.update(is_active=False)
    problem(ask("get", "cdrs"), 401, "wrong-token")


def test_a_scope_that_was_not_given_is_refused(acme, program):
    told = problem(program(acme, "cdrs:read")("get", "calls"), 403, "no-scope")
    assert "calls:read" in told["detail"]


def test_a_users_token_may_no_more_than_the_user(program):
    operator = User.objects.create_user("olga", is_staff=True)
    operator.groups.add(Group.objects.get(name=OPERATOR))
    ask = program(operator)
    assert ask("get", "calls").status_code == 200
    assert ask("get", "trunks").status_code == 200
    told = problem(ask("post", "trunks", {"name": "x"}), 403, "no-permission")
    assert "calls.add_trunk" in told["detail"]


def test_a_token_of_an_account_has_none_of_the_scopes_of_staff(acme):
    token = ApiToken(name="x", account=acme, scopes="cdrs:read config:write")
    token.new_secret()
    with pytest.raises(ValidationError, match="cannot have config:write"):
        token.full_clean()


def test_a_token_is_of_somebody_and_of_one_only(acme, boss):
    for of in ({}, {"account": acme, "user": boss}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ApiToken.objects.create(name="x", key=str(len(of)), scopes="cdrs:read", **of)


def test_its_last_use_is_noted(acme, program):
    program(acme)("get", "cdrs")
    token = ApiToken.objects.get()
    assert token.last_used_from == "127.0.0.1"
    assert timezone.now() - token.last_used_at < timedelta(minutes=1)


def test_too_many_requests_are_put_off(acme, program, settings):
    settings.API_REQUESTS_PER_S = 2
    ask = program(acme)
    answers = [ask("get", "cdrs") for _ in range(8)]
    late = answers[-1]
    problem(late, 429, "too-many-requests")
    assert int(late["Retry-After"]) >= 1
    assert answers[0].status_code == 200
    # Another token has a rate of its own.
    assert program(acme)("get", "cdrs").status_code == 200


def test_wrong_tokens_of_an_address_are_slowed_down(stranger, monkeypatch):
    # So slow that no machine is slower: each of 30 requests would have to take a second.
    monkeypatch.setattr(auth, "WRONG_PER_S", 1)
    answers = [Program(f"rm_x_{number}")("get", "cdrs").status_code for number in range(30)]
    assert answers[0] == 401
    # One a second is looked up after that, and it may be the last.
    assert 429 in answers


def test_an_address_that_is_not_there_is_a_problem_too(stranger):
    problem(stranger("get", "nothing/of/the/kind"), 404, "no-such-address")


def test_the_schema_is_there_for_everybody_and_names_every_address(stranger):
    answer = stranger("get", "openapi.json")
    assert answer.status_code == 200
    schema = answer.json()
    assert {"/api/v1/calls", "/api/v1/cdrs/{call_id}", "/api/v1/explain"} <= set(schema["paths"])
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            ((scope,),) = [each["Bearer"] for each in operation["security"]]
            assert scope in SCOPES, (path, method)
            assert f"`{scope}`" in operation["description"], (path, method)
