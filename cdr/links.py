"""Addresses of pages that a call record leads to.

Those of the rooms above are known by their names in the public list of addresses only.
"""

from typing import Any
from urllib.parse import quote, urlencode

from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from cdr.models import Cdr

STORY = "/admin/calls/story/"


def story_url(call_id: str) -> str:
    """Where a call's story is told."""
    return f"{STORY}{quote(call_id, safe='')}/"


def links_of(row: Cdr, user: Any) -> list[tuple[str, str]]:
    """Titles and addresses of what has to do with this call, for who may see them."""
    number = row.callee_received or row.callee_normalised
    asked = {"number": number, "account": row.account, "caller": row.caller_received}
    # Weights and canaries draw by it.
    asked["call"] = row.call_id
    at = f"{timezone.localtime(row.started_at):%Y-%m-%d %H:%M:%S}"
    found = [("Story", story_url(row.call_id))]
    if row.account and user.has_perm("calls.view_account"):
        found.append((f"Account {row.account}", _list("calls_account", row.account)))
    if row.trunk and user.has_perm("calls.view_trunk"):
        found.append((f"Trunk {row.trunk}", _list("calls_trunk", row.trunk)))
    if user.has_perm("calls.view_route"):
        explain = _named("explain")
        found += [
            ("Where would it go now?", f"{explain}?{urlencode(asked)}"),
            ("Where would it have gone then?", f"{explain}?{urlencode(asked | {'at': at})}"),
        ]
    found.append(("JSON", reverse("admin:cdr_json", args=[row.pk])))
    return [(title, address) for title, address in found if address]


def _list(model: str, search: str) -> str:
    address = _named(f"admin:{model}_changelist")
    return f"{address}?{urlencode({'q': search})}" if address else ""


def _named(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
