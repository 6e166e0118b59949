"""Forms of the admin that judge what is entered by who enters it."""

from typing import Any

from django.http import HttpRequest


class FormKnowsRequest:
    """A mixin for a ModelAdmin, before it: its form, which is made for each request, has that as
    ``request``."""

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        form.request = request
        return form
