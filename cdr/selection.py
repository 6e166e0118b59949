"""The call records that a query string of their list asks for, by the same filters as the list."""

from typing import Any, cast

from django.contrib.admin import site
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict

from cdr.models import Cdr

OF_THE_PAGE = ("p", "columns", "form", "o", "e")
"""Parameters of the page, not of what is selected."""


def selected(query: str) -> "QuerySet[Cdr]":
    """The records of ``?query``, the newest first; what asks for nothing that there is, asks all.

    Dates in it are read in the active zone.
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
    changelist = admin.get_changelist_instance(request)
    return cast("QuerySet[Cdr]", changelist.get_queryset(request)).order_by("-started_at", "-id")
