"""API tokens in the admin: made, limited to what their maker may do, and shown once."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import (  # type: ignore[attr-defined]  # exported by no list
    UnfoldAdminCheckboxSelectMultipleWidget,
)

from calls.admin.asked_by import FormKnowsRequest
from calls.models import ApiToken
from calls.models.changes import note
from calls.models.tokens import SCOPES
from cdr.hidden import HidesColumns
from cdr.pages import page


class TokenForm(ModelForm[ApiToken]):
    """Scopes are ticked; a token of an account has no user, one of staff no account."""

    scopes = forms.MultipleChoiceField(
        label="May",
        choices=[(name, f"{name}: {scope.words}") for name, scope in SCOPES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    request: HttpRequest
    """Put in by the page."""

    class Meta:
        model = ApiToken
        fields = ("name", "account", "user", "scopes", "enabled", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["scopes"] = self.instance.scopes.split()

    def clean_scopes(self) -> str:
        return " ".join(name for name in SCOPES if name in self.cleaned_data["scopes"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        user = cleaned.get("user")
        maker = self.request.user
        if _is_anothers(self.instance.user, maker) or _is_anothers(user, maker):
            raise ValidationError(
                {"user": "Only superusers make tokens for other users: yours is for yourself."}
            )
        scopes = str(cleaned.get("scopes") or "")
        if beyond := _beyond(maker, scopes, of_account=cleaned.get("account") is not None):
            raise ValidationError({"scopes": f"You may not do {beyond} yourself."})
        return cleaned


def _is_anothers(user: Any, maker: Any) -> bool:
    return user is not None and user != maker and not maker.is_superuser


def _beyond(maker: Any, scopes: str, *, of_account: bool) -> str:
    """The first scope that its maker lacks the permissions for, '' for none."""
    return next(
        (
            name
            for name in scopes.split()
            if not maker.has_perms(SCOPES[name].needs_of_maker(of_account))
        ),
        "",
    )


class ApiTokenAdmin(FormKnowsRequest, HidesColumns, ModelAdmin):
    """A token's secret is shown when it is made, and never again."""

    hidden = ("digest",)
    form = TokenForm
    empty_title = "No token yet."
    empty_help = (
        "Programs use the HTTP API by a token: live calls, call records, configuration. "
        "docs/api.md has examples."
    )
    list_display = (
        "name",
        "whose",
        "scopes",
        "enabled",
        "expires_at",
        "last_used",
        "last_used_from",
    )
    list_filter = ("enabled",)
    list_select_related = ("account", "user")
    list_fullwidth = True
    search_fields = ("name",)
    autocomplete_fields = ("account", "user")
    readonly_fields = ("key", "made_at", "last_used_at", "last_used_from")
    actions = ("new_secret",)
    fieldsets = (
        (None, {"fields": ("name", ("account", "user"), "scopes", ("enabled", "expires_at"))}),
        ("Use", {"fields": (("key", "made_at"), ("last_used_at", "last_used_from"))}),
    )

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        if not change:
            obj.plain = obj.new_secret()  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Not by a redirect: the token would have to be kept somewhere for it."""
        return _shown(request, obj, obj.plain)  # type: ignore[attr-defined]

    @action(description="Give the chosen token a new secret", permissions=["change"])
    def new_secret(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> HttpResponse | None:
        if queryset.count() != 1:
            messages.error(request, "Choose one token: its new secret is shown once.")
            return None
        token = queryset[0]
        if _is_anothers(token.user, request.user):
            messages.error(request, "Only superusers give other users' tokens a new secret.")
            return None
        # Whoever gets the secret does what the token may.
        if beyond := _beyond(request.user, token.scopes, of_account=token.account is not None):
            messages.error(request, f"You may not do {beyond} yourself.")
            return None
        plain = token.new_secret()
        token.save()
        note(token, "secret", "the former one", "a new one")
        return _shown(request, token, plain)

    @display(description="of", ordering="account__code")
    def whose(self, token: ApiToken) -> str:
        return f"account {token.account.code}" if token.account else f"user {token.user}"

    @display(description="last used", ordering="last_used_at")
    def last_used(self, token: ApiToken) -> Any:
        return token.last_used_at or "never"


def _shown(request: HttpRequest, token: ApiToken, plain: str) -> HttpResponse:
    answer = page(request, "calls/token_made.html", "API token", {"token": token, "plain": plain})
    answer["Cache-Control"] = "no-store"
    return answer
