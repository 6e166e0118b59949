"""The admin's pages for what is configured; Django finds them here."""

from django.contrib import admin

from calls.admin.alarms import AlarmAdmin
from calls.admin.canaries import CanaryAdmin
from calls.admin.changes import ChangeAdmin
from calls.admin.drains import DrainAdmin
from calls.admin.limits import LimitAdmin
from calls.admin.routing import AccountAdmin, BlockAdmin, RouteAdmin, TrunkAdmin
from calls.admin.tokens import ApiTokenAdmin
from calls.admin.webhooks import WebhookDeliveryAdmin, WebhookEndpointAdmin
from calls.models import (
    Account,
    Alarm,
    ApiToken,
    Block,
    Canary,
    Change,
    Drain,
    Limit,
    Route,
    Trunk,
    WebhookDelivery,
    WebhookEndpoint,
)

admin.site.register(Account, AccountAdmin)
admin.site.register(Alarm, AlarmAdmin)
admin.site.register(ApiToken, ApiTokenAdmin)
admin.site.register(Block, BlockAdmin)
admin.site.register(Canary, CanaryAdmin)
# django-auditlog's own page finds and shows less.
admin.site.unregister(Change)
admin.site.register(Change, ChangeAdmin)
admin.site.register(Drain, DrainAdmin)
admin.site.register(Limit, LimitAdmin)
admin.site.register(Route, RouteAdmin)
admin.site.register(Trunk, TrunkAdmin)
admin.site.register(WebhookDelivery, WebhookDeliveryAdmin)
admin.site.register(WebhookEndpoint, WebhookEndpointAdmin)
