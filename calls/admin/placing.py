"""A test call from a trunk's page: through this trunk alone, whatever the routes say."""

from typing import Any
from uuid import uuid4

import redis
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from calls.admin.explanation import MAY_ASK
from calls.models import Account, Trunk
from calls.placing.place import (
    CannotPlace,
    Drained,
    KeyTaken,
    NewCall,
    WouldBeRefused,
    place,
    record,
)
from calls.store.overview import AWAY
from cdr.links import story_url
from cdr.pages import page

MAY_TEST = ("calls.view_trunk", "calls.originate_call")
MOST_OFFERED = 500
"""Accounts that the list offers."""
NOBODY = "Nobody: the callee hears a sound"
LONGEST_KEY = 40


class TestCallForm(forms.Form):
    """Whom to call, in whose name, and who calls."""

    number = forms.CharField(
        max_length=64,
        strip=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True, "placeholder": "+49301234567"}),
        help_text="As people of the account dial it. The call is real, and may cost money.",
    )
    account = forms.ChoiceField(
        widget=UnfoldAdminSelectWidget,
        help_text="Whose call it is: its limits, its blocklist, its bill.",
    )
    phone = forms.ChoiceField(
        label="Who calls",
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="A phone of that account, which is called first. With nobody the callee hears "
        "Asterisk's tt-monkeys, for 30 seconds at most.",
    )
    key = forms.CharField(max_length=LONGEST_KEY, widget=forms.HiddenInput)
    """Sent twice it is one call."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        accounts = list(Account.objects.filter(enabled=True).order_by("code")[:MOST_OFFERED])
        self.fields["account"].choices = [  # type: ignore[attr-defined]
            (each.code, str(each)) for each in accounts
        ]
        phones = [(each.code, name) for each in accounts for name in each.phone_names]
        self.fields["phone"].choices = [  # type: ignore[attr-defined]
            ("", NOBODY),
            *((f"{code}/{name}", f"{name} (of {code})") for code, name in phones),
        ]

    def clean(self) -> None:
        code, _, name = self.cleaned_data.get("phone", "").partition("/")
        account = self.cleaned_data.get("account")
        if code and account and code != account:
            self.add_error("phone", f"This phone is of account {code}, not of {account}.")
        self.cleaned_data["phone"] = name


class TestCallAction:
    """Mixed into the trunks' page: a button (``actions_detail``), and what it leads to."""

    def has_test_call_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(MAY_TEST)

    @action(description="Test call", icon="call", url_path="test-call", permissions=["test_call"])
    def test_call(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = int(object_id) if object_id.isascii() and object_id.isdigit() else 0
        return _test_call_page(request, get_object_or_404(Trunk, pk=key))


def _test_call_page(request: HttpRequest, trunk: Trunk) -> HttpResponse:
    form = TestCallForm(request.POST or None, initial={"key": uuid4().hex})
    if request.method == "POST" and form.is_valid():
        try:
            return HttpResponseRedirect(story_url(_placed(request, trunk, form)))
        except CannotPlace as error:
            why = str(error)
            if isinstance(error, WouldBeRefused) and not request.user.has_perms(MAY_ASK):
                why = error.in_short
            form.add_error(error.field if error.field in form.fields else None, why)
        except (Drained, KeyTaken) as error:
            form.add_error(None, str(error))
        except redis.RedisError:
            form.add_error(None, AWAY)
    context = {
        "form": form,
        "trunk": trunk,
        "accounts": bool(form.fields["account"].choices),  # type: ignore[attr-defined]
    }
    return page(request, "calls/test_call.html", f"Test call through {trunk.name}", context)


def _placed(request: HttpRequest, trunk: Trunk, form: TestCallForm) -> str:
    asked = form.cleaned_data
    new = NewCall(
        account=asked["account"], phone=asked["phone"], number=asked["number"], trunk=trunk.name
    )
    who = request.user.get_username()
    placed = place(new, by=who, orderer=f"user:{request.user.pk}", key=asked["key"])
    if placed.now:
        record(request.user, new, placed.call, who)  # type: ignore[arg-type]  # signed in
        first = f"phone {new.phone} first, then " if new.phone else ""
        messages.success(request, f"Calling {first}{new.number} through {trunk.name}.")
    return placed.call
