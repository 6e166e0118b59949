"""What is read of calls: of an account its own, without the carriers; of staff everything."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from calls.clock import wall_clock_ms
from calls.machine.events import HangupAsked, decode
from calls.models import Account
from cdr.models import Cdr, CdrAttempt
from tests.api.test_who_may_ask import problem
from tests.lab import live


@pytest.fixture(autouse=True)
def redis(clean_redis):
    return clean_redis


def record(number, at=None, account="acme", **more):
    at = at or timezone.now() - timedelta(minutes=number)
    return Cdr.objects.create(
        **{
            "call_id": f"pbx1:{number}.1",
            "node": "pbx1",
            "started_at": at,
            "ended_at": at,
            "duration_ms": 0,
            "talk_ms": 0,
            "billsec": 0,
            "disposition": "answered",
            "ended_by": "caller",
            "account": account,
            "callee_normalised": f"49{number}",
            "trunk": "carrier-a",
            "route": "49",
            "reason": "carrier-a was full",
        }
        | more
    )


def all_pages(ask, query):
    found, cursor = [], ""
    while True:
        page = ask("get", f"cdrs?{query}&cursor={cursor}").json()
        found += [each["call_id"] for each in page["cdrs"]]
        cursor = page.get("next")
        if not cursor:
            return found


def test_an_account_does_not_find_out_by_which_trunk_its_calls_go(acme, boss, program, redis):
    live.put(redis, [live.session(1, now_ms=wall_clock_ms(), account="acme")])
    (trunk,) = {each["trunk"] for each in program(boss)("get", "calls").json()["calls"]}
    assert trunk

    ask = program(acme)

    totals = [ask("get", f"calls?trunk={name}").json()["total"] for name in (trunk, "another", "")]
    assert totals == [1, 1, 1]
    assert program(boss)("get", "calls?trunk=another").json()["total"] == 0


def test_a_call_from_before_an_account_got_its_code_is_not_its_own(acme, program, redis):
    """It is of whoever had the code then, who may be renamed while the call is up."""
    (call,) = live.put(redis, [live.session(1, now_ms=wall_clock_ms(), account="acme")])
    ask = program(acme)
    assert ask("get", "calls").json()["total"] == 1

    Account.objects.filter(pk=acme.pk).update(code_since=timezone.now())

    assert ask("get", "calls").json()["total"] == 0
    problem(ask("get", f"calls/{call}"), 404, "not-found")
    problem(ask("delete", f"calls/{call}"), 404, "not-found")
    assert redis.llen(f"ringmaster:mail:{call}") == 0


def test_an_account_sees_its_own_live_calls_only(acme, boss, program, redis):
    now_ms = wall_clock_ms()
    mine, theirs = live.put(
        redis,
        [
            live.session(1, now_ms=now_ms, account="acme"),
            live.session(2, now_ms=now_ms, account="other"),
        ],
    )
    ask = program(acme)
    page = ask("get", "calls").json()
    assert [each["call_id"] for each in page["calls"]] == [mine]
    assert page["calls"][0]["trunk"] is None
    assert ask("get", f"calls/{mine}").json()["state"] == "talking"
    problem(ask("get", f"calls/{theirs}"), 404, "not-found")
    problem(ask("delete", f"calls/{theirs}"), 404, "not-found")
    assert redis.llen(f"ringmaster:mail:{theirs}") == 0
    assert program(boss)("get", "calls").json()["total"] == 2


def test_live_calls_come_page_by_page(boss, program, redis):
    now_ms = wall_clock_ms()
    calls = live.put(redis, [live.session(each, now_ms=now_ms) for each in range(5)])
    ask, found, cursor = program(boss), [], ""
    while cursor is not None:
        page = ask("get", f"calls?limit=2&cursor={cursor}").json()
        found += [each["call_id"] for each in page["calls"]]
        cursor = page["next"]
    assert sorted(found) == sorted(calls)


def test_a_call_is_hung_up_in_the_tokens_name(acme, program, redis):
    (call,) = live.put(redis, [live.session(1, now_ms=wall_clock_ms(), account="acme")])
    answer = program(acme)("delete", f"calls/{call}")
    assert (answer.status_code, answer.json()) == (202, {"call_id": call, "asked": True})
    (mail,) = redis.lrange(f"ringmaster:mail:{call}", 0, -1)
    asked = decode(mail)
    assert isinstance(asked, HangupAsked)
    assert asked.by == "token crm-1"


def test_records_come_page_by_page_each_once(boss, program):
    at = timezone.now() - timedelta(minutes=1)
    # Three of them began in the same microsecond.
    for number in range(7):
        record(number, at - timedelta(seconds=max(0, number - 3)))
    ask = program(boss)
    found = all_pages(ask, "limit=2")
    assert found == [f"pbx1:{n}.1" for n in (3, 2, 1, 0, 4, 5, 6)]


def test_records_are_found_by_what_is_asked(boss, program):
    record(1)
    record(2, account="other")
    record(3, disposition="busy")
    record(4, at=datetime(2026, 1, 1, tzinfo=UTC))
    ask = program(boss)
    assert all_pages(ask, "account=other") == ["pbx1:2.1"]
    assert all_pages(ask, "disposition=busy") == ["pbx1:3.1"]
    assert all_pages(ask, "callee=491") == ["pbx1:1.1"]
    assert all_pages(ask, "since=2025-12-31T00:00:00Z&until=2026-01-02") == ["pbx1:4.1"]
    assert len(all_pages(ask, "")) == 3


def test_a_long_call_that_has_just_ended_is_among_the_new_records(boss, program):
    """Whoever asks for what began since the last question never hears of it."""
    now = timezone.now()
    record(1, at=now - timedelta(hours=20), ended_at=now - timedelta(minutes=1))
    record(2, at=now - timedelta(minutes=30), ended_at=now - timedelta(minutes=20))
    record(3, at=now - timedelta(minutes=2), ended_at=now - timedelta(minutes=1))
    ask = program(boss)
    last = (now - timedelta(minutes=5)).isoformat().replace("+00:00", "Z")
    assert all_pages(ask, f"since={last}") == ["pbx1:3.1"]
    assert all_pages(ask, f"ended_since={last}&limit=1") == ["pbx1:3.1", "pbx1:1.1"]
    assert all_pages(ask, f"ended_since={last}&since={last}") == ["pbx1:3.1"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "callee=49x", "since=yesterday", "cursor=x", "disposition=x"]
)
def test_what_cannot_be_asked_for_is_said(boss, program, query):
    problem(program(boss)("get", f"cdrs?{query}"), 422, "invalid")


def test_an_account_learns_nothing_of_carriers_or_of_others(acme, program):
    row = record(1)
    CdrAttempt.objects.create(cdr=row, number=1, trunk="carrier-a", outcome="dialled")
    record(2, account="other")
    ask = program(acme)
    assert all_pages(ask, "account=other") == []
    assert all_pages(ask, "") == ["pbx1:1.1"]
    answer = ask("get", "cdrs/pbx1:1.1")
    assert answer.json()["disposition"] == "answered"
    assert b"carrier-a" not in answer.content
    problem(ask("get", "cdrs/pbx1:2.1"), 404, "not-found")


def test_staff_see_the_attempts(boss, program):
    row = record(1)
    CdrAttempt.objects.create(cdr=row, number=1, trunk="carrier-a", outcome="dialled")
    told = program(boss)("get", "cdrs/pbx1:1.1").json()
    assert (told["trunk"], told["attempts"][0]["trunk"]) == ("carrier-a", "carrier-a")


def test_a_trace_that_is_not_kept_is_said_to_be_not_kept(boss, acme, program):
    told = problem(program(boss)("get", "traces/pbx1:1.1"), 404, "not-found")
    assert "TRACE_DAYS" in told["detail"]
    problem(program(acme)("get", "traces/pbx1:1.1"), 403, "no-scope")


def test_with_redis_away_records_are_still_read(boss, program, settings):
    record(1)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    ask = program(boss)
    assert all_pages(ask, "") == ["pbx1:1.1"]
    problem(ask("get", "calls"), 503, "redis-away")
