"""Addresses of the web process: the admin, and a page for health checks."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from calls.explanation_admin import explain_page


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 while the web process serves; it asks neither database nor Redis."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index", permanent=False)),
    path("healthz", healthz),
    path("admin/calls/explain/", explain_page, name="explain"),
    path("admin/", admin.site.urls),
]
