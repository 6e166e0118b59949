"""The call records that a query string of their list asks for, by the same filters as the list."""

from typing import Any, cast

from django.contrib.admin import site
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth.models import User
from django.contrib.messages import MessageFailure
from django.core.exceptions import SuspiciousOperation
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict

from cdr.models import Cdr

OF_THE_PAGE = ("p", "columns", "form", "o", "e")
"""Parameters of the page, not of what is selected."""


class Unselectable(Exception):
    """A query that the list refuses; its text is a sentence."""


def selected(query: str) -> "QuerySet[Cdr]":
    """The records of ``?query``, the newest first; what asks for nothing that there is, asks all.

    Dates in it are read in the active zone. Raises Unselectable.
    """
    request = HttpRequest()
    request.method = "GET"
    # The list asks whether its reader may edit; whoever exports has been asked already.
    request.user = User(is_active=True, is_staff=True, is_superuser=True)
    given = QueryDict(query, mutable=True)
    for name in OF_THE_PAGE:
        given.pop(name, None)
    request.GET = cast(Any, given)
    admin = site.get_model_admin(Cdr)
    try:
        changelist = admin.get_changelist_instance(request)
        found = cast("QuerySet[Cdr]", changelist.get_queryset(request))
    except (IncorrectLookupParameters, SuspiciousOperation, MessageFailure) as error:
        # The last: what is searched for is refused, by a message that this request cannot hold.
        raise Unselectable(
            "Nothing can be selected by this address: change its filters."
        ) from error
    return found.order_by("-started_at", "-id")
