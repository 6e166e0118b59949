"""Reference pages made from the code: settings, commands, models, the HTTP API.

Needs Django set up; asks neither a database nor Redis.
"""

import argparse
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.db import models

from tests.lab.asterisk_config import REPOSITORY

PACKAGES = ("project", "ari_bridge", "calls", "cdr")


def pages() -> dict[str, str]:
    """Path on the site → text."""
    return {
        "reference/settings.md": settings_page(),
        "reference/commands.md": commands_page(),
        "reference/models.md": models_page(),
        "reference/http-api.md": api_page(),
        "explanation/cost.md": section_of_readme("What it costs"),
    }


def settings_page() -> str:
    """The README's table of settings, which a test holds to what project/settings.py reads."""
    return section_of_readme("Settings")


def section_of_readme(heading: str) -> str:
    """One of its sections, as a page of its own."""
    readme = (REPOSITORY / "README.md").read_text()
    section = readme[readme.index(f"## {heading}\n") :].partition("\n## ")[0]
    return section.removeprefix("#") + "\n"


def commands() -> dict[str, BaseCommand]:
    """Ringmaster's own commands, by name."""
    found = {}
    for package in PACKAGES:
        for file in (REPOSITORY / package / "management" / "commands").glob("[a-z]*.py"):
            found[file.stem] = load_command_class(package, file.stem)
    return dict(sorted(found.items()))


def commands_page() -> str:
    """Every command with its help and its arguments."""
    lines = [
        "# Commands",
        "",
        "`manage.py COMMAND`, or `ringmaster COMMAND` with the Debian package. Django's own, such "
        "as `migrate` and `createsuperuser`, come beside these; `manage.py version` says which "
        "Ringmaster it is. Made from the code.",
    ]
    for name, command in commands().items():
        lines += ["", f"## {name}", "", _escaped(command.help)]
        rows = list(_arguments(command, name))
        if rows:
            lines += ["", *_table(("argument", "meaning"), rows)]
    return "\n".join(lines) + "\n"


def _arguments(command: BaseCommand, name: str) -> Iterator[tuple[str, str]]:
    usual = {action.dest for action in BaseCommand().create_parser("manage.py", name)._actions}
    for action in command.create_parser("manage.py", name)._actions:
        if action.dest not in usual:
            # What help takes from the action itself, such as %(default)s.
            told = (action.help or "") % {**vars(action), "prog": "manage.py"}
            yield f"`{_written(action)}`", told


def _written(action: argparse.Action) -> str:
    value = action.metavar or action.dest.upper()
    if action.choices is not None and not action.metavar:
        value = "|".join(map(str, action.choices))
    if not action.option_strings:
        return f"[{value}]" if action.nargs in ("?", "*") else str(value)
    option = max(action.option_strings, key=len)
    return option if action.nargs == 0 else f"{option} {value}"


def models_page() -> str:
    """Every model of ours with its fields, as the database, the admin and the API have them."""
    lines = [
        "# Models",
        "",
        "What the database keeps. Live calls are in Redis. Made from the code.",
    ]
    for label in ("calls", "cdr"):
        for model in sorted(apps.get_app_config(label).get_models(), key=lambda m: m.__name__):
            lines += ["", f"## {label}.{model.__name__}", "", _escaped(_doc(model)), ""]
            lines += _table(("field", "kind", "meaning"), map(_field, model._meta.fields))
    return "\n".join(lines) + "\n"


def _field(field: "models.Field[Any, Any]") -> tuple[str, str, str]:
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(field).__name__.removesuffix("Field")).lower()
    if field.is_relation and field.related_model:
        kind = f"one {field.related_model.__name__}"
    told = str(field.help_text or field.verbose_name)
    if field.choices:
        told += " One of: " + ", ".join(f"`{value}`" for value, _ in field.flatchoices) + "."
    return f"`{field.name}`", kind, told


def api_page() -> str:
    """Every address of the HTTP API, from its own OpenAPI schema."""
    from calls.api.urls import api

    schema: dict[str, Any] = api.get_openapi_schema(path_prefix="/api/v1/")
    lines = [
        "# HTTP API",
        "",
        _escaped(schema["info"]["description"]),
        "",
        "The schema for generators of clients is at `/api/v1/openapi.json`; "
        "[examples with curl](../api.md).",
    ]
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            lines += ["", f"## {method.upper()} {path}", ""]
            lines.append(_escaped(told.get("description") or told.get("summary", "")))
            rows = [
                (f"`{each['name']}`", each["in"], _kind(each["schema"]))
                for each in told.get("parameters", [])
            ]
            if rows:
                lines += ["", *_table(("parameter", "in", "kind"), rows)]
            if body := _content(told.get("requestBody", {})):
                lines += ["", f"Takes {body}."]
            answers = {int(status): answer for status, answer in told["responses"].items()}
            for status, answer in answers.items():
                if status < 400:
                    lines += ["", f"`{status}`: {_content(answer) or 'nothing'}."]
            problems = {status: answer for status, answer in answers.items() if status >= 400}
            kinds = dict.fromkeys(_content(answer) for answer in problems.values())
            lines += ["", f"{', '.join(f'`{each}`' for each in problems)}: {', '.join(kinds)}."]
    for name, told in schema.get("components", {}).get("schemas", {}).items():
        rows = [
            (f"`{field}`", _kind(each), each.get("description", ""))
            for field, each in told.get("properties", {}).items()
        ]
        if rows:
            lines += ["", f"## {name}", "", *_table(("field", "kind", "meaning"), rows)]
    return "\n".join(lines) + "\n"


def _content(told: dict[str, Any]) -> str:
    kinds = [_kind(each["schema"]) for each in told.get("content", {}).values() if "schema" in each]
    return ", ".join(kinds)


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for word in ("anyOf", "allOf", "oneOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(_kind(each) for each in schema[word]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    return str(schema.get("format") or schema.get("type", "anything"))


def _doc(model: type[models.Model]) -> str:
    text = inspect.getdoc(model) or ""
    return "" if text.startswith(f"{model.__name__}(") else text


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = tuple(head)
    told = [[_cell(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *told)]


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Nothing in it is taken for HTML."""
    return text.replace("<", "&lt;")
