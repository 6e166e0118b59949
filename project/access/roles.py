"""The roles that a new Ringmaster comes with, as Django's groups.

A migration makes the groups; each gets its permissions when it is new and empty, and those of a new
model when the model is new. What an administrator has changed of a group in between stays.
docs/roles.md, generated and tested, shows what each of them reaches.
"""

from collections.abc import Callable, Collection
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ImproperlyConfigured

OPERATOR, ROUTING_MANAGER, AUDITOR, ADMIN = ROLES = (
    "operator",
    "routing manager",
    "auditor",
    "admin",
)
"""An operator looks and hangs up; a routing manager decides where calls go; an auditor sees all and
changes nothing; an admin does everything, accounts, limits and users among it."""

_LOOKED_AT = (
    *("account", "trunk", "route", "routetarget", "canary", "canarytarget", "block", "limit"),
    *("drain", "call", "webhookdelivery"),
)
_ROUTED_BY = ("trunk", "route", "routetarget", "canary", "canarytarget", "block", "drain")
_OURS = ("auth", "axes", "calls", "cdr", "project")
# django-axes' own tables that no page shows.
_UNUSED = ("accessfailurelog",)


def granted(role: str, app: str, model: str, codename: str) -> bool:
    """Whether a role has a permission; a new model's are an admin's and an auditor's alone."""
    if app not in _OURS or model in _UNUSED:
        return False
    looks = codename == f"view_{model}"
    if role == ADMIN:
        return True
    if role == AUDITOR:
        return looks or codename.startswith("export_")
    if app == "cdr" or (app == "calls" and model in _LOOKED_AT and looks):
        return looks
    if codename == "hangup_call":
        return True
    routes = app == "calls" and model in _ROUTED_BY
    return role == ROUTING_MANAGER and routes


def make_groups(group_model: Any = Group) -> None:
    """Make the groups that are not there; they get their permissions after the migration."""
    for role in ROLES:
        group_model.objects.get_or_create(name=role)


def grant(groups: Collection[Group], permissions: Collection[Permission]) -> None:
    """Give each group those of the permissions that are its role's."""
    for group in groups:
        group.permissions.add(
            *(
                each
                for each in permissions
                if granted(
                    group.name,
                    each.content_type.app_label,
                    each.content_type.model,
                    each.codename,
                )
            )
        )


class AfterMigrate:
    """Grants what a run of ``migrate`` has made: new groups, and new models' permissions."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def before(self, using: str, **kwargs: Any) -> None:
        from django.db import connections

        tables = connections[using].introspection.table_names()
        known = Permission.objects.using(using).values_list("pk", flat=True)
        self._known = set(known) if Permission._meta.db_table in tables else set()

    def after(self, sender: AppConfig, using: str, **kwargs: Any) -> None:
        groups = Group.objects.using(using).filter(name__in=ROLES)
        permissions = Permission.objects.using(using).select_related("content_type")
        empty = [group for group in groups if not group.permissions.exists()]
        others = [group for group in groups if group not in empty]
        grant(empty, permissions)
        grant(others, [each for each in permissions if each.pk not in self._known])


def connect(config: AppConfig) -> None:
    """Listen to ``migrate``; the app must be the last one, as each app's permissions come first."""
    from django.db.models.signals import post_migrate, pre_migrate

    listener = AfterMigrate()
    handlers: list[tuple[Any, Callable[..., None]]] = [
        (pre_migrate, listener.before),
        (post_migrate, listener.after),
    ]
    for signal, handler in handlers:
        signal.connect(handler, sender=config, weak=False, dispatch_uid=f"roles {handler.__name__}")
    if list(apps.get_app_configs())[-1] is not config:
        raise ImproperlyConfigured("project must be the last of INSTALLED_APPS, for its roles.")
