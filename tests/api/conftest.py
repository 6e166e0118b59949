"""Tokens, and a client that sends one."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from calls.models import Account, ApiToken
from calls.models.tokens import SCOPES
from project.access.roles import ADMIN

ALL = " ".join(SCOPES)
OF_ACCOUNTS = " ".join(name for name, scope in SCOPES.items() if scope.accounts)


@pytest.fixture
def acme(db) -> Account:
    return Account.objects.create(code="acme", name="Acme", allowed_prefixes="")


@pytest.fixture
def boss(db) -> User:
    """Staff with the role that may do everything."""
    user = User.objects.create_user("boss", is_staff=True)
    user.groups.add(Group.objects.get(name=ADMIN))
    return user


@pytest.fixture
def token_for(db) -> Callable[..., str]:
    """Makes a token of an account or a user, and gives it as its program would send it."""

    def token_for(holder: Account | User, scopes: str = "", **more: object) -> str:
        of = {"account": holder} if isinstance(holder, Account) else {"user": holder}
        default = OF_ACCOUNTS if "account" in of else ALL
        number = ApiToken.objects.count() + 1
        token = ApiToken(name=f"crm-{number}", scopes=scopes or default, **of, **more)
        plain = token.new_secret()
        token.full_clean()
        token.save()
        return plain

    return token_for


class Program:
    """A program with a token."""

    def __init__(self, token: str) -> None:
        self._client = Client()
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, json: object = None, **headers: str):
        body = {} if json is None else {"data": json, "content_type": "application/json"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return getattr(self._client, method)(
            f"/api/v1/{path}", headers=self._headers | named, **body
        )


@pytest.fixture
def program(token_for) -> Callable[..., Program]:
    def program(holder: Account | User, scopes: str = "", **more: object) -> Program:
        return Program(token_for(holder, scopes, **more))

    return program


@pytest.fixture
def stranger(db) -> Program:
    return Program("")


@pytest.fixture
def roles(transactional_db) -> User:
    """Somebody who may do everything, where each test empties the tables and the groups with
    them."""
    return User.objects.create_superuser("root")
