"""Accounts and trunks with series of their own: those set up, the busiest of the week first."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from calls import metrics
from calls.models import Account, Trunk
from calls.store import busiest
from cdr.models import HourlyCalls


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(metrics, "accounts", metrics.Known(2))
    monkeypatch.setattr(metrics, "trunks", metrics.Known(2))


def called(kind, key, attempts, days_ago=1):
    HourlyCalls.objects.create(
        span=HourlyCalls.Span.DAY,
        hour=timezone.now() - timedelta(days=days_ago),
        kind=kind,
        key=key,
        attempts=attempts,
        seizures=0,
        answered=0,
        effective=0,
        talk_ms=0,
        billsec=0,
        pdd=[],
        causes={},
    )


@pytest.mark.django_db(transaction=True)
def test_the_busiest_that_are_still_set_up():
    for code in ("quiet", "early", "busy"):
        Account.objects.create(code=code, name=code)
    called("account", "busy", 900)
    called("account", "gone", 9_000)
    called("account", "early", 50)
    called("account", "early", 9_000, days_ago=30)
    Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a")
    Trunk.objects.create(name="off", dial_string="PJSIP/{number}@b", enabled=False)

    busiest._expect()

    assert [metrics.accounts(code) for code in ("busy", "early", "quiet")] == [
        "busy",
        "early",
        "other",
    ]
    assert (metrics.trunks("a"), metrics.trunks("new")) == ("a", "new")


def test_without_a_database_names_come_as_they_are_called(monkeypatch, caplog):
    def away(*_):
        raise OperationalError("it is away")

    monkeypatch.setattr(busiest, "_names", away)
    busiest._expect()
    assert "does not say which trunks are the busiest" in caplog.text
    assert metrics.trunks("a") == "a"
