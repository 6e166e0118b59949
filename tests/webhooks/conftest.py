"""Webhooks in the database, and a receiver that they lead to."""

import ipaddress

import pytest

from calls.models import WebhookEndpoint
from calls.store import outbox
from tests.webhooks.receiver import Receiver


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_ALLOW_HTTP = True
    settings.WEBHOOK_ALLOW_PRIVATE = (ipaddress.ip_network("127.0.0.1/32"),)
    with Receiver() as running:
        yield running


@pytest.fixture
def make_endpoint(db):
    """Makes an endpoint; ``plain`` is its secret."""

    def make(name="crm", url="https://crm.example/hook", events="call.ended", **fields):
        endpoint = WebhookEndpoint(name=name, url=url, events=events, **fields)
        endpoint.plain = endpoint.new_secret()
        endpoint.save()
        return endpoint

    return make


@pytest.fixture
def wanted(monkeypatch):
    """Lets this process know that somebody wants these events."""

    def want(*events):
        monkeypatch.setattr(outbox.wanted, "events", frozenset(events))

    return want
