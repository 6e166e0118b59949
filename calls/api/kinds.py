"""What is configured, as the API names it: accounts, trunks, routes and limits.

What may be written is checked by the same `full_clean` as in the admin, noted in the same audit log
and allowed by the same permissions; nothing here knows a rule of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models, transaction
from django.db.models import ProtectedError, QuerySet
from ninja import Schema
from ninja.orm import create_schema
from pydantic import Field, create_model

from calls.api.problems import Problem, not_found
from calls.models import Account, Limit, Route, RouteTarget, Trunk
from calls.models.routes import NEEDS_TRUNK

_ACCOUNT = (
    "code",
    "name",
    "enabled",
    "max_call_s",
    "time_zone",
    "country_code",
    "international_prefix",
    "national_prefix",
    "caller_id",
    "short_codes",
    "allowed_prefixes",
    "allowed_callers",
    "refuse_unchecked",
    "phones",
)
_TRUNK = (
    "name",
    "dial_string",
    "enabled",
    "ring_timeout_s",
    "strip_digits",
    "add_prefix",
    "rewrite_match",
    "rewrite_replace",
    "tech_prefix",
    "country_code",
    "international_prefix",
    "national_prefix",
    "caller_id_policy",
    "caller_id",
    "max_calls",
    "max_cps",
    "health_override",
)
_ROUTE = ("prefix", "action", "enabled", "valid_from", "valid_until", "schedule", "note")
_LIMIT = (
    "scope",
    "prefix",
    "metric",
    "value",
    "window",
    "mode",
    "warn_percent",
    "enabled",
    "note",
)
_TARGET = ("priority", "weight", "strip_digits", "add_prefix")


class TargetDocument(Schema):
    """One trunk of a route."""

    trunk: str
    priority: int = 1
    weight: int = 100
    strip_digits: int = 0
    add_prefix: str = ""


def _schemas(
    model: type[models.Model], name: str, fields: Sequence[str], *more: tuple[str, Any, Any]
) -> tuple[type[Schema], type[Schema]]:
    """How a row is shown, and how a change of one is told: only the fields that are to change."""
    shown = create_schema(
        model,
        name=f"{name}Document",
        fields=list(fields),
        custom_fields=[("id", int, ...), *more],
    )
    # Without the model's defaults: a program that sends what it was told to leave out would else
    # set a field back that nobody meant to change.
    told = [
        (field, info.annotation, info.description) for field, info in shown.model_fields.items()
    ]
    change = create_model(
        f"{name}Change",
        __base__=Schema,
        **{  # type: ignore[call-overload]
            field: (Optional[kind], Field(None, description=description))  # noqa: UP045 - made here
            for field, kind, description in told
            if field != "id"
        },
    )
    return shown, change


@dataclass(frozen=True)
class Kind:
    """One kind of what is configured. ``key`` is the field by which a row is named."""

    model: type[models.Model]
    word: str
    key: str
    fields: tuple[str, ...]
    shown: type[Schema]
    change: type[Schema]
    refers: Mapping[str, tuple[type[models.Model], str]]
    """Fields that name another row, each with its model and the field that names it."""
    of_accounts: str = ""
    """Where tokens of accounts may read it: the lookup that leads to the account."""

    @property
    def name(self) -> str:
        return str(self.model._meta.model_name)

    def permission(self, verb: str) -> str:
        """What a user needs who does this to it."""
        return f"calls.{verb}_{self.name}"

    def rows(self, account: Account | None) -> QuerySet[Any]:
        """The rows that may be seen: all, or one account's."""
        rows = self.model._default_manager.order_by("pk").select_related(*self.refers)
        if self.model is Route:
            rows = rows.prefetch_related("targets__trunk")
        return rows if account is None else rows.filter(**{self.of_accounts: account.pk})

    def get(self, key: str, account: Account | None = None) -> Any:
        """One row. Raises Problem."""
        try:
            return self.rows(account).get(**{self.key: key})
        except (ObjectDoesNotExist, ValueError):
            raise not_found(f"{self.word} {key[:80]!r}") from None

    def document(self, row: Any, account: Account | None = None) -> dict[str, Any]:
        """The row as it is shown to staff, or to an account."""
        told = {"id": row.pk} | {name: getattr(row, name) for name in self.fields}
        if account is not None and "note" in told:
            # What staff writes down of a customer is not for that customer.
            told["note"] = ""
        for field, (_, named_by) in self.refers.items():
            referred = getattr(row, field)
            told[field] = getattr(referred, named_by) if referred is not None else None
        if self.model is Route:
            told["targets"] = [
                {"trunk": each.trunk.name} | {name: getattr(each, name) for name in _TARGET}
                for each in row.targets.all()
            ]
        return told

    def write(self, row: Any, told: dict[str, Any]) -> Any:
        """Save the row with these fields changed, by the rules of the admin. Raises Problem."""
        targets = told.pop("targets", None)
        for field, (model, named_by) in self.refers.items():
            if field in told:
                setattr(row, field, referred(model, named_by, field, told.pop(field)))
        for field, value in told.items():
            if value is None and not row._meta.get_field(field).null:
                raise wrong({field: ["This cannot be null."]})
            setattr(row, field, value)
        try:
            with transaction.atomic():
                row.full_clean()
                row.save()
                if self.model is Route:
                    _write_targets(row, targets)
        except ValidationError as error:
            raise wrong(error.message_dict) from error
        return self.get(getattr(row, self.key))

    def delete(self, row: Any) -> None:
        """Raises Problem where other rows rest on it."""
        try:
            row.delete()
        except ProtectedError as error:
            used = ", ".join(str(each) for each in list(error.protected_objects)[:3])
            detail = f"{self.word.capitalize()} {row} is still used: {used}."
            raise Problem(409, "still-used", detail) from error


def referred(model: type[models.Model], named_by: str, field: str, name: str | None) -> Any:
    """The row that a field names; None for None. Raises Problem."""
    if name is None:
        return None
    row = model._default_manager.filter(**{named_by: name}).first()
    if row is None:
        raise wrong({field: [f"There is no {model._meta.verbose_name} {name[:80]!r}."]})
    return row


def _write_targets(route: Route, targets: list[dict[str, Any]] | None) -> None:
    """Let the route have exactly these trunks; None leaves them. Raises ValidationError."""
    before = {each.trunk.name: each for each in route.targets.select_related("trunk")}
    if targets is not None:
        names = [each["trunk"] for each in targets]
        if len(set(names)) < len(names):
            raise ValidationError({"targets": "A trunk stands once among a route's trunks."})
        for name in before.keys() - set(names):
            before.pop(name).delete()
        for told in (TargetDocument(**each) for each in targets):
            target = before.get(told.trunk) or RouteTarget(
                route=route, trunk=referred(Trunk, "name", "targets", told.trunk)
            )
            for field in _TARGET:
                setattr(target, field, getattr(told, field))
            target.full_clean()
            target.save()
            before[told.trunk] = target
    if route.action == Route.Action.ROUTE and not before:
        raise ValidationError({"targets": NEEDS_TRUNK})


def wrong(errors: dict[str, list[str]]) -> Problem:
    """Fields that are not as they must be, each with what is wrong with it."""
    told = [(field, " ".join(each)) for field, each in errors.items()]
    sentence = "; ".join(f"{field}: {message}" for field, message in told)
    return Problem(422, "invalid", f"Nothing was changed. {sentence}", told)


_OF_ACCOUNT = {"account": (Account, "code")}
_SHOWN_ACCOUNT, _CHANGED_ACCOUNT = _schemas(Account, "Account", _ACCOUNT)
_SHOWN_TRUNK, _CHANGED_TRUNK = _schemas(Trunk, "Trunk", _TRUNK)
_SHOWN_ROUTE, _CHANGED_ROUTE = _schemas(
    Route,
    "Route",
    _ROUTE,
    ("account", str | None, None),
    ("targets", list[TargetDocument], []),
)
_SHOWN_LIMIT, _CHANGED_LIMIT = _schemas(
    Limit, "Limit", _LIMIT, ("account", str | None, None), ("trunk", str | None, None)
)
KINDS = {
    "accounts": Kind(
        Account, "account", "code", _ACCOUNT, _SHOWN_ACCOUNT, _CHANGED_ACCOUNT, {}, "pk"
    ),
    "trunks": Kind(Trunk, "trunk", "name", _TRUNK, _SHOWN_TRUNK, _CHANGED_TRUNK, {}),
    "routes": Kind(Route, "route", "pk", _ROUTE, _SHOWN_ROUTE, _CHANGED_ROUTE, _OF_ACCOUNT),
    "limits": Kind(
        Limit,
        "limit",
        "pk",
        _LIMIT,
        _SHOWN_LIMIT,
        _CHANGED_LIMIT,
        _OF_ACCOUNT | {"trunk": (Trunk, "name")},
        "account",
    ),
}
