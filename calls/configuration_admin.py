"""What the admin pages of accounts, trunks, routes and limits have in common."""

from django.contrib import messages
from unfold.admin import ModelAdmin

from calls import config_version


class ConfigurationAdmin(ModelAdmin):
    """Tells the user when workers could not be told of a change."""

    list_fullwidth = True
    warn_unsaved_form = True

    def changeform_view(self, request, *args, **kwargs):
        with config_version.collect_failures() as failures:
            response = super().changeform_view(request, *args, **kwargs)
        return self._with_warnings(request, response, failures)

    def delete_view(self, request, *args, **kwargs):
        with config_version.collect_failures() as failures:
            response = super().delete_view(request, *args, **kwargs)
        return self._with_warnings(request, response, failures)

    def changelist_view(self, request, *args, **kwargs):
        with config_version.collect_failures() as failures:
            response = super().changelist_view(request, *args, **kwargs)
        return self._with_warnings(request, response, failures)

    def _with_warnings(self, request, response, failures):
        for sentence in failures:
            self.message_user(request, sentence, messages.WARNING)
        return response
