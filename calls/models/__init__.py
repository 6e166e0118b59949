"""What is configured: accounts, trunks, routes and limits. Live calls are in Redis, not here."""

from calls.models.accounts import Account
from calls.models.alarms import Alarm
from calls.models.blocks import Block
from calls.models.canaries import Canary, CanaryTarget
from calls.models.changes import Change
from calls.models.drains import Drain
from calls.models.limits import Limit
from calls.models.live import Call
from calls.models.routes import Route, RouteTarget
from calls.models.tokens import ApiToken
from calls.models.trunks import Trunk
from calls.models.webhooks import WebhookDelivery, WebhookEndpoint

__all__ = [
    "Account",
    "Alarm",
    "ApiToken",
    "Block",
    "Call",
    "Canary",
    "CanaryTarget",
    "Change",
    "Drain",
    "Limit",
    "Route",
    "RouteTarget",
    "Trunk",
    "WebhookDelivery",
    "WebhookEndpoint",
]
