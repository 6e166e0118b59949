"""What the admin pages of accounts, trunks, routes and limits have in common."""

from collections.abc import Iterable
from typing import Any, TypeVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from calls.store import config_version

_Response = TypeVar("_Response", bound=HttpResponse)


def may_see(request: HttpRequest, *models: str) -> bool:
    """Whether the user may view, or change, all these models of ours."""
    may = request.user.has_perm
    return all(may(f"calls.view_{name}") or may(f"calls.change_{name}") for name in models)


class ConfigurationAdmin(ModelAdmin):
    """Tells the user when workers could not be told of a change."""

    list_fullwidth = True
    warn_unsaved_form = True

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with config_version.collect_failures() as failures:
            response = super().changeform_view(request, *args, **kwargs)
        return self._with_warnings(request, response, failures)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with config_version.collect_failures() as failures:
            response = super().delete_view(request, *args, **kwargs)
        return self._with_warnings(request, response, failures)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with config_version.collect_failures() as failures:
            response = super().changelist_view(request, *args, **kwargs)
        return self._with_warnings(request, response, failures)

    def _with_warnings(
        self, request: HttpRequest, response: _Response, failures: Iterable[str]
    ) -> _Response:
        for sentence in failures:
            self.message_user(request, sentence, messages.WARNING)
        return response
