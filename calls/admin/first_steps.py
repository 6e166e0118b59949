"""What to do first with a Ringmaster that has no data yet, ticked off as it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from calls.admin.troubles import NEEDED
from calls.models import Account, Route, Trunk
from calls.store.pulse import Pulse
from cdr.models import Cdr


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do; ``link`` leads there, or is '' for one who may not or need not."""

    title: str
    text: str
    done: bool
    link: str = ""


def first_steps(user: Any, pulse: Pulse | None) -> list[Step]:
    """The steps, or none once there is a call record: then all was done once."""
    if not user.has_perm("calls.view_route") or _first(Cdr) is not None:
        return []
    account, trunk, route = (_first(model) for model in (Account, Trunk, Route))
    alive = {process.kind for process in pulse.processes} if pulse else set()

    def link(permission: str, address: Callable[[], str]) -> str:
        return address() if user.has_perm(permission) else ""

    return [
        Step(
            "Start every process",
            "ARI bridge, calls worker and records worker, as in the Procfile.",
            alive >= set(NEEDED),
        ),
        Step(
            "Add an account",
            "Who calls. Its code is the channel's accountcode in Asterisk, or its endpoint's name.",
            account is not None,
            link("calls.add_account", lambda: reverse("admin:calls_account_add")),
        ),
        Step(
            "Add a trunk",
            "A way out, such as PJSIP/{number}@carrier-a.",
            trunk is not None,
            link("calls.add_trunk", lambda: reverse("admin:calls_trunk_add")),
        ),
        Step(
            "Add a route",
            "Which numbers go to which trunks. An empty prefix takes every number.",
            route is not None,
            link("calls.add_route", lambda: reverse("admin:calls_route_add")),
        ),
        Step(
            "Make a call",
            "From a phone of the account. Where it would go can be asked before.",
            False,
            link("calls.view_route", lambda: reverse("explain")) if route else "",
        ),
    ]


def _first(model: Any) -> Any:
    return model.objects.order_by("pk").first()
