"""Webhooks in the admin: whom to tell what, and what became of each message."""

from typing import Any

import orjson
from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import (  # type: ignore[attr-defined]  # exported by no list
    UnfoldAdminCheckboxSelectMultipleWidget,
)

from calls.admin.asked_by import FormKnowsRequest
from calls.models import WebhookDelivery, WebhookEndpoint
from calls.models.webhooks import EVENTS, NEEDS
from calls.webhooks.deliveries import send_again
from calls.webhooks.endpoints import (
    Disabled,
    begin_anew,
    check_address,
    not_seen_by,
    save_new_secret,
    send_test,
)
from cdr.display import moment
from cdr.hidden import HidesColumns
from cdr.links import story_url
from cdr.pages import page
from cdr.paging import CappedPaginator
from cdr.read_only import ReadOnly

LOOK = "calls.view_webhookdelivery"
_State = WebhookDelivery.State
_COLOURS = {"waiting": "warning", "delivered": "success", "failed": "danger"}


class EndpointForm(ModelForm[WebhookEndpoint]):
    """Events are ticked; an address in a private network is refused at once."""

    events = forms.MultipleChoiceField(
        label="Is told",
        choices=[(name, f"{name}: {words}") for name, words in EVENTS.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    request: HttpRequest
    """Put in by the page."""

    class Meta:
        model = WebhookEndpoint
        fields = ("name", "url", "account", "events", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["events"] = self.instance.events.split()

    def clean_events(self) -> str:
        events = " ".join(name for name in EVENTS if name in self.cleaned_data["events"])
        if unseen := not_seen_by(self.request.user, events):
            raise ValidationError(f"You may not see what {unseen} tells.")
        return events

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        check_address(url)
        return url


class WebhookEndpointAdmin(FormKnowsRequest, HidesColumns, ModelAdmin):
    """A webhook's secret is shown when it is made, and never again."""

    hidden = ("salt", "former_salt", "proof")
    form = EndpointForm
    empty_title = "No webhook yet."
    empty_help = (
        "A webhook tells a program of yours that calls begin, are answered and end, that a trunk "
        "is down, that an alarm was raised. docs/webhooks.md shows how its messages are checked."
    )
    list_display = ("name", "url", "events", "does", "waits", "last_success")
    list_filter = ("enabled",)
    list_select_related = ("account",)
    list_fullwidth = True
    ordering = ("name",)
    search_fields = ("name", "url")
    autocomplete_fields = ("account",)
    readonly_fields = (
        "how_it_does",
        "last_success",
        "failing",
        "made",
        "its_deliveries",
    )
    actions = ("test", "new_secret")
    fieldsets = (
        (None, {"fields": ("name", "url", "account", "events", "enabled")}),
        (
            "State",
            {
                "fields": (
                    ("how_it_does", "its_deliveries"),
                    ("last_success", "failing", "made"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        waiting = Count("deliveries", filter=Q(deliveries__state=_State.WAITING))
        rows: QuerySet[WebhookEndpoint] = super().get_queryset(request)
        return rows.annotate(waiting=waiting)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fieldsets if obj else self.fieldsets[:1]

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool
    ) -> None:
        if not change:
            obj.plain = obj.new_secret()  # type: ignore[attr-defined]
        if obj.enabled and "enabled" in form.changed_data:
            begin_anew(obj)
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Not by a redirect: the secret would have to be kept somewhere for it."""
        return _shown(request, obj, obj.plain)  # type: ignore[attr-defined]

    @action(description="Send a test message", permissions=["change"])
    def test(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in queryset:
            try:
                delivery = send_test(endpoint)
            except Disabled as error:
                messages.error(request, str(error))
            else:
                link = reverse("admin:calls_webhookdelivery_change", args=(delivery.pk,))
                words = (
                    '{} is sent a test message: <a class="rm-link" href="{}">what became of it</a>.'
                )
                messages.success(request, format_html(words, endpoint.name, link))

    @action(description="Give the chosen webhook a new secret", permissions=["change"])
    def new_secret(
        self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]
    ) -> HttpResponse | None:
        if queryset.count() != 1:
            messages.error(request, "Choose one webhook: its new secret is shown once.")
            return None
        endpoint = WebhookEndpoint.objects.get(pk=queryset[0].pk)
        plain = save_new_secret(endpoint)
        self.log_change(request, endpoint, "Was given a new secret.")
        return _shown(request, endpoint, plain)

    @display(
        description="how it does",
        label={"well": "success", "new": "info", "failing": "warning", "disabled": "danger"},
    )
    def does(self, endpoint: WebhookEndpoint) -> tuple[str, str]:
        state, words = _does(endpoint)
        # Why stands on its page: in capitals it would be a shout.
        return state, "disabled" if state == "disabled" else words

    @display(description="how it does")
    def how_it_does(self, endpoint: WebhookEndpoint) -> str:
        return _does(endpoint)[1]

    @display(description="waiting", ordering="waiting")
    def waits(self, endpoint: WebhookEndpoint) -> str:
        return f"{endpoint.waiting:,}"  # type: ignore[attr-defined]

    @display(description="last success", ordering="last_success_at")
    def last_success(self, endpoint: WebhookEndpoint) -> Any:
        return moment(endpoint.last_success_at) if endpoint.last_success_at else "never"

    @display(description="failing since")
    def failing(self, endpoint: WebhookEndpoint) -> str:
        return moment(endpoint.failing_since)

    @display(description="made")
    def made(self, endpoint: WebhookEndpoint) -> str:
        return moment(endpoint.made_at)

    @display(description="deliveries")
    def its_deliveries(self, endpoint: WebhookEndpoint) -> str:
        address = reverse("admin:calls_webhookdelivery_changelist")
        return format_html(
            '<a class="rm-link" href="{}?endpoint__id__exact={}">Show them</a>',
            address,
            endpoint.pk,
        )


class WebhookDeliveryAdmin(ReadOnly, ModelAdmin):
    """Read only; what has failed, or was delivered and got lost there, can be sent again."""

    empty_title = "No delivery yet."
    empty_help = "What a webhook is told is listed here, and what became of it."
    list_display = (
        "event",
        "shown_state",
        "endpoint",
        "call",
        "attempts",
        "shown_problem",
        "made",
    )
    list_display_links = ("event",)
    list_filter = ("state", "endpoint", "event")
    list_select_related = ("endpoint",)
    list_fullwidth = True
    search_fields = ("message_id__exact", "call_id__exact")
    search_help_text = "By a message's id or a call's id, in full."
    paginator = CappedPaginator
    show_full_result_count = False
    actions = ("again",)
    fieldsets = (
        (None, {"fields": (("event", "endpoint"), "message_id", "call")}),
        (
            "What became of it",
            {
                "fields": (
                    ("state", "attempts", "due"),
                    ("status", "took_ms", "settled"),
                    "problem",
                    "answer",
                    ("made", "sent_again_by"),
                )
            },
        ),
        ("Message", {"fields": ("text",)}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The message is for those who may see what it tells."""
        needs = NEEDS.get(obj.event) if obj else None
        seen = needs is None or request.user.has_perm(needs)
        return self.fieldsets if seen else self.fieldsets[:2]

    def has_again_permission(self, request: HttpRequest) -> bool:
        """Whoever may send again."""
        return request.user.has_perm("calls.resend_webhookdelivery")

    @action(description="Send again", permissions=["again"])
    def again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        keys = WebhookDelivery.objects.filter(pk__in=queryset.values("pk"))
        count = send_again(keys, request.user.get_username())
        self.message_user(
            request,
            f"{count:,} deliver{'ies are' if count != 1 else 'y is'} sent again, with the same id "
            "as before; those of a disabled webhook wait until it is enabled.",
        )

    @display(description="state", ordering="state", label=_COLOURS)
    def shown_state(self, delivery: WebhookDelivery) -> tuple[str, str]:
        return delivery.state, delivery.get_state_display().lower()

    @display(description="made", ordering="made_at")
    def made(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.made_at)

    @display(description="next attempt")
    def due(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.due_at if delivery.state == _State.WAITING else None)

    @display(description="settled")
    def settled(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.settled_at)

    @display(description="call", ordering="call_id")
    def call(self, delivery: WebhookDelivery) -> str:
        if not delivery.call_id:
            return "-"
        address = story_url(delivery.call_id)
        return format_html('<a class="rm-link" href="{}">{}</a>', address, delivery.call_id)

    @display(description="problem")
    def shown_problem(self, delivery: WebhookDelivery) -> str:
        text = delivery.problem
        return f"{text[:79]}…" if len(text) > 80 else text or "-"

    @display(description="text")
    def text(self, delivery: WebhookDelivery) -> str:
        try:
            plain = orjson.dumps(orjson.loads(delivery.body), option=orjson.OPT_INDENT_2).decode()
        except ValueError:
            plain = delivery.body
        return format_html('<pre class="rm-scroll">{}</pre>', plain)


def told_of(request: HttpRequest, call: str) -> list[dict[str, Any]]:
    """What webhooks were told of a call, for its story; nothing for those who may not see it."""
    if not request.user.has_perm(LOOK):
        return []
    rows = WebhookDelivery.objects.filter(call_id=call).exclude(call_id="")
    return [
        {"row": row, "link": reverse("admin:calls_webhookdelivery_change", args=(row.pk,))}
        for row in rows.select_related("endpoint").order_by("made_at", "id")[:50]
    ]


def _does(endpoint: WebhookEndpoint) -> tuple[str, str]:
    if not endpoint.enabled:
        return "disabled", f"disabled. {endpoint.disabled_because}".strip()
    if endpoint.failing_since:
        return "failing", f"failing since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC"
    return ("well", "takes messages") if endpoint.last_success_at else ("new", "nothing yet")


def _shown(request: HttpRequest, endpoint: WebhookEndpoint, plain: str) -> HttpResponse:
    context = {"endpoint": endpoint, "plain": plain}
    answer = page(request, "calls/webhook_secret.html", "Webhook", context)
    answer["Cache-Control"] = "no-store"
    return answer
