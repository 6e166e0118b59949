"""What each role reaches: every address asked for by everybody, and every page's actions."""

import re
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from project.access.roles import ROLES

NOBODY, STAFF = "not signed in", "no role"
PEOPLE = (NOBODY, STAFF, *ROLES)

VALUES = {
    "app_label": "calls",
    "content_type_id": "1",
    "call": "pbx1:1.1",
    "call_id": "pbx1:1.1",
    "id": "1",
    "key": "1",
    "kind": "node",
    "name": "pbx1",
    "process": "records",
    "rest": "nothing",
}
"""What stands in an address for a part that is no row's key."""
QUERIES = {"admin/autocomplete/": "?app_label=calls&model_name=routetarget&field_name=trunk&term="}
LEFT_OUT = ("admin/(?P<url>.*)$",)
"""The admin's own "not found"."""
PART = re.compile(r"<(?:\w+:)?(\w+)>")


def patterns() -> list[str]:
    """Every address that is served, as Django's patterns."""
    return sorted(set(_patterns(get_resolver())) - set(LEFT_OUT))


def _patterns(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for each in resolver.url_patterns:
        route = before + str(each.pattern).removeprefix("^")
        if isinstance(each, URLPattern):
            yield route
        else:
            yield from _patterns(each, route)


def address(pattern: str, keys: dict[str, str]) -> str:
    """An address of this pattern; raises KeyError with a sentence where a part is not known."""
    model = re.match(r"admin/(\w+)/(\w+)/", pattern)
    row = keys.get(f"{model[1]}.{model[2]}", "1") if model else "1"

    def value(part: "re.Match[str]") -> str:
        name = part[1]
        if name in ("object_id", "pk") or (name == "id" and model):
            return row
        if name not in VALUES:
            raise KeyError(f"Say in tests/access/reach.py what <{name}> of {pattern} may be.")
        return VALUES[name]

    path = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", pattern).removesuffix("$")
    return "/" + PART.sub(value, path) + QUERIES.get(pattern, "")


def user_of(person: str) -> User | None:
    """Somebody of that role, made where there is none."""
    if person == NOBODY:
        return None
    user, new = User.objects.get_or_create(username=person, defaults={"is_staff": True})
    if new and person in ROLES:
        user.groups.add(Group.objects.get(name=person))
    return user


def cookies_of(user: User | None) -> dict[str, str]:
    """The session of a user, for any number of requests."""
    client = Client()
    if user is not None:
        client.force_login(user)
    return {name: cookie.value for name, cookie in client.cookies.items()}


def reach(path: str, cookies: dict[str, str]) -> str:
    """``see`` or ``on``, ``send``, ``sign in`` or ``-``; nothing that is done stays."""
    words = []
    for method, word in (("get", "see"), ("post", "send")):
        answer = _ask(method, path, cookies)
        leads_on = answer.status_code in (301, 302)
        if leads_on and "/login/" in answer["Location"]:
            return "sign in"
        not_ready = answer.status_code == 503 and path.startswith("/health/ready")
        if answer.status_code >= 500 and not not_ready:
            raise AssertionError(f"{method} {path} is a fault ({answer.status_code})")
        if answer.status_code not in (401, 403, 405):
            words.append("on" if leads_on and method == "get" else word)
    return " ".join(words) or "-"


def _ask(method: str, path: str, cookies: dict[str, str]) -> Any:
    # A client of its own: one that was signed out has lost its cookies.
    client = Client(raise_request_exception=False)
    client.cookies.load(cookies)
    with transaction.atomic():
        answer = getattr(client, method)(path)
        transaction.set_rollback(True)
    return answer


def deeds(page: Any, user: User) -> str:
    """What a user may do with a model's rows: the four rights, and the actions offered."""
    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=user.pk)
    rights = [
        verb
        for verb in ("view", "add", "change", "delete")
        if getattr(page, f"has_{verb}_permission")(request)
    ]
    if not rights:
        return "-"
    offered = [name for name in page.get_actions(request) if name != "delete_selected"]
    finder = getattr(page, "get_actions_list", None)
    offered += [_name(each) for each in (finder(request) if finder else [])]
    return ", ".join([*rights, *sorted(set(offered))])


def _name(offered: Any) -> str:
    if isinstance(offered, dict):
        return str(offered.get("attrs", {}).get("name") or offered.get("title"))
    return str(getattr(offered, "action_name", offered))


def matrix(keys: dict[str, str]) -> str:
    """The document: who reaches what."""
    users = {person: user_of(person) for person in PEOPLE}
    sessions = {person: cookies_of(user) for person, user in users.items()}
    addresses = [
        [
            f"`/{_named(pattern)}`",
            *(reach(address(pattern, keys), sessions[person]) for person in PEOPLE),
        ]
        for pattern in patterns()
    ]
    pages = [
        [f"`{model._meta.label}`", *(deeds(page, users[role]) for role in ROLES)]
        for model, page in sorted(admin.site._registry.items(), key=lambda x: x[0]._meta.label)
    ]
    return "\n".join(
        [
            "# Who reaches what",
            "",
            "Generated by `ROLES=1 python -m pytest tests/access/test_roles.py` and compared by",
            "`make test`: a new page must stand here before it can be merged. Roles are groups;",
            "what they begin with is in `project/access/roles.py`. An administrator may change it.",
            "",
            "*see*: the address answers a GET; *on*: it leads to another; *send*: it takes a POST;",
            "*-*: refused.",
            "",
            *_table(["address", *PEOPLE], addresses),
            "",
            "## What may be done with rows",
            "",
            *_table(["model", *ROLES], pages),
            "",
        ]
    )


def _named(pattern: str) -> str:
    """As the other patterns are written; a bar would part a cell of the table."""
    return re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", pattern).removesuffix("$")


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
