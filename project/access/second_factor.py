"""The second factor of a sign-in: a code from an authenticator app (TOTP, RFC 6238).

django-otp keeps keys, tokens and their throttling. Here are its three pages in the admin's look,
and the one place where it is enforced: whoever has set up a second factor gets nowhere without it,
and with TWO_FACTOR=required neither does anybody who has not set it up.
"""

import logging
from base64 import b32encode
from collections.abc import Callable
from typing import Any, cast

import segno
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import site
from django.contrib.auth.models import AbstractBaseUser, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_otp import login as verify_session
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.widgets import UnfoldAdminTextInputWidget

from calls.models.changes import note

OFFERED, REQUIRED = "offered", "required"
RECOVERY_CODES = 10
APP, RECOVERY = "authenticator app", "recovery codes"
WHAT = "second factor"
"""As changes name it."""

# Where somebody who has given the password, and no code yet, may go.
_OPEN = ("verify", "second_factor", "admin:logout", "admin:login", "admin:jsi18n")

logger = logging.getLogger(__name__)


class SecondFactor:
    """Middleware that lets nobody past who still owes a code. Stands behind OTPMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        user = cast(Any, request.user)
        match = request.resolver_match
        if not user.is_authenticated or user.is_verified():
            return None
        has_factor = is_set_up(user)
        if match is not None and match.view_name in _OPEN:
            # Setting a second one up must not be a way around the first.
            return _to("verify", request) if has_factor and _is_setup(match.view_name) else None
        if has_factor:
            return _to("verify", request)
        if user.is_staff and settings.TWO_FACTOR == REQUIRED:
            return _to("second_factor", request)
        return None


def is_set_up(user: AbstractBaseUser) -> bool:
    """Whether the user has confirmed an authenticator app."""
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def remove(user: User) -> None:
    """Take the user's app and recovery codes away, as when a telephone is lost."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()


class CodeForm(forms.Form):
    """A code, as the app or the list of recovery codes shows it."""

    code = forms.CharField(
        max_length=32,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "inputmode": "text"}
        ),
    )

    def __init__(
        self, request: HttpRequest, *args: Any, device: TOTPDevice | None = None, **kw: Any
    ) -> None:
        super().__init__(*args, **kw)
        self._user = cast(Any, request.user)
        self._address = request.META.get("REMOTE_ADDR")
        self._device = device
        self.accepted_by: TOTPDevice | StaticDevice | None = None

    def clean_code(self) -> str:
        code = "".join(self.cleaned_data["code"].split()).lower()
        with transaction.atomic():
            # The row is locked until its counter is written, so that no code counts twice.
            device = self._find(code)
            allowed, why = device.verify_is_allowed() if device else (True, None)
            if device and allowed and device.verify_token(code):
                self.accepted_by = device
                return code
        if why:
            wait_s = max(1, round((why["locked_until"] - timezone.now()).total_seconds()))
            # For fail2ban, as whoever is told to wait and goes on is nobody who mistyped.
            logger.warning(
                "A second factor was tried too early by %s as %r.",
                self._address,
                self._user.username,
            )
            raise forms.ValidationError(
                f"Too many wrong codes: wait {wait_s} s before the next one.", code="throttled"
            )
        logger.warning(
            "A wrong second factor was given by %s as %r.", self._address, self._user.username
        )
        raise forms.ValidationError(
            "This code is wrong, was used before, or is too old. Look at the app again, and at the "
            "clock of the device it runs on.",
            code="wrong",
        )

    def _find(self, code: str) -> TOTPDevice | StaticDevice | None:
        """The device to ask, told by the code's form: others must not count it as their failure."""
        if self._device is not None:
            return TOTPDevice.objects.select_for_update().filter(pk=self._device.pk).first()
        kind: Any = TOTPDevice if code.isdecimal() else StaticDevice
        found = kind.objects.select_for_update().filter(user=self._user, confirmed=True)
        return cast(TOTPDevice | StaticDevice | None, found.first())


@never_cache
@sensitive_post_parameters("code")
def verify(request: HttpRequest) -> HttpResponse:
    """Ask for the code after the password."""
    user = cast(Any, request.user)
    if not user.is_authenticated or user.is_verified() or not is_set_up(user):
        return HttpResponseRedirect(_next(request))
    form = CodeForm(request, request.POST or None)
    if request.method == "POST" and form.is_valid():
        verify_session(request, form.accepted_by)
        return HttpResponseRedirect(_next(request))
    return _page(request, "project/verify.html", "Second factor", form=form, next=_next(request))


@never_cache
@sensitive_post_parameters("code")
def second_factor(request: HttpRequest) -> HttpResponse:
    """Set the second factor up, or take it off again."""
    user = cast(Any, request.user)
    device = TOTPDevice.objects.filter(user=user, confirmed=True).first()
    if device is not None:
        return _change(request, device)
    device, _ = TOTPDevice.objects.get_or_create(user=user, name=APP, confirmed=False)
    form = CodeForm(request, request.POST or None, device=device)
    if request.method == "POST" and form.is_valid():
        codes = _confirm(user, device)
        verify_session(request, TOTPDevice.objects.get(pk=device.pk))
        logger.info("The user %s has set up a second factor.", user.username)
        note(user, WHAT, "none", "set up")
        return _page(request, "project/recovery_codes.html", "Recovery codes", codes=codes)
    return _page(
        request,
        "project/second_factor.html",
        "Set up a second factor",
        form=form,
        picture=segno.make(device.config_url).svg_data_uri(scale=5, border=2, light="#fff"),
        key=b32encode(device.bin_key).decode(),
        required=settings.TWO_FACTOR == REQUIRED,
    )


def _change(request: HttpRequest, device: TOTPDevice) -> HttpResponse:
    user = cast(Any, request.user)
    form = CodeForm(request, request.POST or None)
    if request.method == "POST" and form.is_valid():
        if "new_codes" in request.POST:
            codes = _new_recovery_codes(user)
            note(user, RECOVERY, "the former ones", "new ones")
            return _page(request, "project/recovery_codes.html", "Recovery codes", codes=codes)
        remove(user)
        logger.warning("The user %s has removed the second factor.", user.username)
        note(user, WHAT, "set up", "removed")
        messages.success(request, "The second factor is removed.")
        return HttpResponseRedirect(reverse("second_factor"))
    return _page(
        request,
        "project/second_factor_is_set_up.html",
        "Second factor",
        form=form,
        device=device,
        left=StaticToken.objects.filter(device__user=user).count(),
    )


def _confirm(user: User, device: TOTPDevice) -> list[str]:
    with transaction.atomic():
        TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
        return _new_recovery_codes(user)


def _new_recovery_codes(user: User) -> list[str]:
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        device = StaticDevice.objects.create(user=user, name=RECOVERY)
        codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
        StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    return codes


def _page(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    return render(request, template, site.each_context(request) | {"title": title} | context)


def _is_setup(view_name: str) -> bool:
    return view_name == "second_factor"


def _to(name: str, request: HttpRequest) -> HttpResponse:
    # A form that is sent here would lose what was entered; its page is where to go on.
    query = urlencode({"next": request.get_full_path()}) if request.method == "GET" else ""
    return HttpResponseRedirect(f"{reverse(name)}{'?' if query else ''}{query}")


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else reverse("admin:index")
