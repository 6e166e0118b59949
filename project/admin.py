"""Users, groups and their sign-ins, in the admin's look."""

from typing import Any

from axes.models import AccessAttempt, AccessLog
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from calls.models.changes import note
from cdr.hidden import HidesColumns
from project.access import second_factor

admin.site.site_title = "Ringmaster"
admin.site.site_header = "Ringmaster"
admin.site.index_title = "Ringmaster"
admin.site.index_template = "calls/index.html"

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User], ModelAdmin):
    """Users; a superuser is changed by superusers only, or whoever edits users would be one."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_staff", "has_second_factor", "last_login")
    actions = ("remove_second_factor",)

    @display(description="second factor", boolean=True)
    def has_second_factor(self, user: User) -> bool:
        return second_factor.is_set_up(user)

    @action(description="Remove the second factor of the chosen users", permissions=["change"])
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = [user for user in queryset if self.has_change_permission(request, user)]
        for user in users:
            second_factor.remove(user)
            note(user, second_factor.WHAT, "set up", "removed")
            self.log_change(request, user, "Removed the second factor.")
        messages.success(request, f"{len(users)} users now sign in with their password alone.")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if _is_superuser(request) else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def _may_touch(request: HttpRequest, obj: Any) -> bool:
    return obj is None or not obj.is_superuser or _is_superuser(request)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


class SignInAdmin(HidesColumns, ModelAdmin):
    """What django-axes notes: to be looked at, changed by nobody."""

    hidden = ("get_data", "post_data", "session_hash", "http_accept")
    ordering = ("-attempt_time", "-pk")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(AccessAttempt)
class AccessAttemptAdmin(SignInAdmin):
    """Wrong sign-ins that still count; deleting them opens the lock."""

    empty_title = "Nobody is locked out."
    empty_help = (
        "Wrong passwords are noted here, by name and by address; after too many of them the name "
        "or the address gets in no more for a while. Deleting a line opens the lock."
    )
    list_display = ("attempt_time", "username", "ip_address", "failures_since_start")
    list_filter = ("attempt_time",)
    search_fields = ("username", "ip_address")
    search_help_text = "A user's name or an address."
    fields = ("attempt_time", "username", "ip_address", "user_agent", "failures_since_start")

    def delete_model(self, request: HttpRequest, obj: AccessAttempt) -> None:
        self._note(obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AccessAttempt]) -> None:
        for attempt in queryset:
            self._note(attempt)
        super().delete_queryset(request, queryset)

    def _note(self, attempt: AccessAttempt) -> None:
        note(attempt, "wrong sign-ins", str(attempt.failures_since_start), "forgotten")


@admin.register(AccessLog)
class AccessLogAdmin(SignInAdmin):
    """Who signed in, from where, and until when."""

    empty_title = "Nobody has signed in yet."
    empty_help = "Each sign-in by password stands here, with its address."
    list_display = ("attempt_time", "username", "ip_address", "logout_time")
    list_filter = ("attempt_time",)
    search_fields = ("username", "ip_address")
    search_help_text = "A user's name or an address."
    fields = ("attempt_time", "logout_time", "username", "ip_address", "user_agent")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# An administrator who sees another one's key has that one's second factor; these pages show it.
for model in (StaticDevice, TOTPDevice):
    admin.site.unregister(model)
