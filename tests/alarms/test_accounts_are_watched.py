"""Alarms from the call records: raised once, logged, and shown until somebody has looked."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse

from calls.alarms.watch import QUIET, watch
from calls.models import Alarm
from cdr.writer import store
from tests.cdr.made_up import record

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)


def calls(count, *, ago, account="acme", callee="4930200300", talk_ms=0, stands_for=1):
    began_ms = int((NOW - ago).timestamp() * 1000)
    store(
        record(
            f"n:{ago.total_seconds():.0f}.{account}.{callee}.{number}",
            account=account,
            callee_normalised=callee,
            started_ms=began_ms,
            answered_ms=began_ms if talk_ms else None,
            ended_ms=began_ms + talk_ms,
            calls=stands_for,
        )
        for number in range(count)
    )


@pytest.fixture
def usual():
    """Five calls an hour to Germany, for two days."""
    for hours in range(2, 50):
        calls(5, ago=timedelta(hours=hours), talk_ms=60_000)


def test_an_account_that_calls_as_it_used_to_raises_no_alarm(usual):
    calls(10, ago=timedelta(minutes=20), talk_ms=60_000)

    assert watch(NOW) == []


def test_a_burst_of_calls_raises_an_alarm_and_says_so_in_the_log(usual, caplog):
    calls(70, ago=timedelta(minutes=20))

    (alarm,) = watch(NOW)

    assert (alarm.account, alarm.kind, alarm.seen, alarm.usual) == ("acme", "calls", 70, 5)
    assert "Alarm: account acme: 70 calls within an hour; usual are 5 at most." in caplog.text


def test_lines_that_stand_for_many_calls_count_as_many(usual):
    calls(2, ago=timedelta(minutes=20), stands_for=50)

    assert [(alarm.kind, alarm.seen) for alarm in watch(NOW)] == [("calls", 100)]


def test_a_spread_over_countries_raises_an_alarm(usual):
    for callee in ("22170123456", "2521234567", "37112345678", "3725512345", "8821612345"):
        calls(1, ago=timedelta(minutes=20), callee=callee)

    assert [(alarm.kind, alarm.seen, alarm.usual) for alarm in watch(NOW)] == [("countries", 5, 1)]


def test_hours_of_talk_raise_an_alarm(usual):
    calls(4, ago=timedelta(minutes=50), talk_ms=35 * 60_000)

    assert [(alarm.kind, alarm.seen, alarm.usual) for alarm in watch(NOW)] == [("minutes", 140, 5)]


def test_each_account_is_held_to_its_own_history(usual):
    for hours in range(2, 50):
        calls(60, ago=timedelta(hours=hours), account="callcentre")
    calls(70, ago=timedelta(minutes=20), account="callcentre")
    calls(70, ago=timedelta(minutes=20))

    assert [alarm.account for alarm in watch(NOW)] == ["acme"]


def test_the_same_jump_is_news_once_in_a_while(usual):
    calls(70, ago=timedelta(minutes=20))
    assert len(watch(NOW)) == 1

    assert watch(NOW + timedelta(minutes=5)) == []
    Alarm.objects.update(at=NOW - QUIET)
    assert len(watch(NOW + timedelta(minutes=5))) == 1


def test_the_command_shows_new_alarms_and_exits_1(usual, monkeypatch):
    monkeypatch.setattr("calls.alarms.watch.timezone.now", lambda: NOW)
    out = StringIO()
    call_command("watch_accounts", stdout=out)
    assert "No account calls otherwise" in out.getvalue()

    calls(70, ago=timedelta(minutes=20))
    with pytest.raises(SystemExit) as ended:
        call_command("watch_accounts", stdout=out)
    assert ended.value.code == 1
    assert "acme: 70 calls within an hour, usual 5 at most" in out.getvalue()


def test_the_admin_shows_alarms_until_somebody_has_looked(admin_client):
    alarm = Alarm.objects.create(account="<b>acme", kind="calls", at=NOW, seen=70, usual=5)
    address = reverse("admin:calls_alarm_changelist")
    shown = admin_client.get(address).content.decode()
    assert "&lt;b&gt;acme" in shown
    assert "nobody yet" in shown

    answer = admin_client.post(
        address, {"action": "looked_at", "_selected_action": [alarm.pk]}, follow=True
    )
    assert "1 alarms are looked at." in answer.content.decode()
    alarm.refresh_from_db()
    assert alarm.looked_at_by == "admin"
