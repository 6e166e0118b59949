"""Pages of the admin that are no model's list or form.

A page says whom it is for with `permitted`; `page` puts it into the admin's frame, and `fragment`
answers with a part of one, for calls/static/ringmaster/refresh.js.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import site
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse

View = Callable[..., HttpResponseBase]


def permitted(*permissions: str) -> Callable[[View], View]:
    """For those who are signed in to the admin and have all these permissions; others get 403."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.has_perms(permissions):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        @wraps(view)
        def signed_in(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return site.admin_view(checked)(request, *args, **kwargs)

        signed_in.permissions = permissions  # type: ignore[attr-defined]
        return signed_in

    return decorate


def page(
    request: HttpRequest, template: str, title: str, context: dict[str, Any], status: int = 200
) -> TemplateResponse:
    """A page in the admin's frame."""
    frame = site.each_context(request) | {"title": title, "is_fullwidth": "1"}
    request.current_app = site.name
    return TemplateResponse(request, template, frame | context, status=status)


def asks_for_fragment(request: HttpRequest) -> bool:
    """Whether a page's own script asks, for the part that refreshes itself."""
    return "X-Fragment" in request.headers


def fragment(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """The part of a page that refreshes itself."""
    html = render_to_string(template, context, request)
    return HttpResponse(html, headers={"X-Fragment": "1", "Cache-Control": "no-store"})
