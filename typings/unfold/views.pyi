from typing import Any

from django.contrib.auth.mixins import PermissionRequiredMixin
from unfold.admin import ModelAdmin

class UnfoldModelAdminViewMixin(PermissionRequiredMixin):
    model_admin: ModelAdmin | None
    title: str
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]: ...
