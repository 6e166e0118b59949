"""Messages come at least once, with the same id, are tried again, and given up in the end."""

import asyncio
import threading
from contextlib import asynccontextmanager
from datetime import timedelta

import orjson
import pytest
import redis
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calls.models import Account, Alarm, Change, WebhookDelivery, WebhookEndpoint
from calls.store import outbox
from calls.store.outbox import OUTBOX, WANTED, Message, alarmed, ended, fan_out
from calls.webhooks import sender as sending
from calls.webhooks.deliveries import (
    LEASE_S,
    Settled,
    drop_old,
    pause_s,
    send_again,
    settle,
    take_up,
)
from calls.webhooks.endpoints import send_test
from calls.webhooks.request import Courier, Outcome
from calls.webhooks.sender import Sender
from cdr.moments import ms_of
from tests.cdr.made_up import record
from tests.lab.ports import free_port
from tests.lab.waiting import wait_for
from tests.webhooks.receiver import Receiver, failing

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_S = 20


@pytest.fixture(autouse=True)
async def _no_connection_is_left():
    """Of the thread in which sync_to_async asks the database."""
    yield
    await sync_to_async(connections.close_all)()


def tell(*keys, event="call.begun", account=""):
    now = timezone.now()
    data = [{"call_id": key, "account": account} for key in keys]
    fan_out(
        [Message(event, each["call_id"], now, each) for each in data], WebhookEndpoint.objects.all()
    )


@asynccontextmanager
async def running(redis_url, pauses_s=(0, 0, 0), timeout_s=5.0, others=()):
    stop = asyncio.Event()
    courier = Courier(django_settings.WEBHOOK_ALLOW_PRIVATE, timeout_s)
    task = asyncio.create_task(Sender((redis_url, *others), courier, pauses_s, 7).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task
        await courier.close()


async def until(holds):
    """Wait for what the receiver sees: the sender notes what came of it when it stops."""
    await asyncio.to_thread(wait_for, holds, timeout_s=PATIENCE_S, failure=lambda: "no message")


async def test_calls_are_told_of_while_the_limits_redis_is_away(
    clean_redis, redis_url, receiver, make_endpoint, caplog
):
    endpoint = await sync_to_async(make_endpoint)(url=receiver.url, events="call.begun")
    receiver.secret = endpoint.plain
    await sync_to_async(tell)("pbx1:1.1")
    async with running(redis_url, others=(f"redis://127.0.0.1:{free_port()}/0",)):
        await until(lambda: receiver.taken)

    assert caplog.text.count("(LIMITS_REDIS_URL) does not answer") == 1


async def test_a_message_comes_signed_and_is_noted(clean_redis, redis_url, receiver, make_endpoint):
    endpoint = await sync_to_async(make_endpoint)(url=receiver.url, events="call.begun")
    receiver.secret = endpoint.plain
    await sync_to_async(tell)("pbx1:1.1")
    async with running(redis_url):
        await until(lambda: receiver.taken)
    (messages,) = receiver.taken.values()
    (message,) = messages
    assert (message["type"], message["data"]["call_id"]) == ("call.begun", "pbx1:1.1")
    row = await WebhookDelivery.objects.aget()
    assert (row.state, row.attempts, row.status, row.answer) == ("delivered", 1, 200, "ok")
    assert clean_redis.get(WANTED) == b"call.begun"
    await endpoint.arefresh_from_db()
    assert endpoint.last_success_at is not None


@pytest.mark.parametrize(("status", "state"), [(200, "delivered"), (500, "failed")])
async def test_a_test_message_is_signed_and_tried_once(
    clean_redis, redis_url, receiver, make_endpoint, status, state
):
    endpoint = await sync_to_async(make_endpoint)(url=receiver.url, events="call.begun")
    receiver.secret, receiver.answer = endpoint.plain, lambda message: (status, {}, b"")
    sent = await sync_to_async(send_test)(endpoint)
    async with running(redis_url):
        await until(lambda: receiver.attempts)
    assert receiver.attempts == {sent.message_id: 1}
    row = await WebhookDelivery.objects.aget()
    assert (row.state, row.attempts, row.status) == (state, 1, status)


async def test_what_lies_in_the_outbox_is_brought_and_leaves_it(
    clean_redis, redis_url, receiver, make_endpoint
):
    endpoint = await sync_to_async(make_endpoint)(url=receiver.url, events="call.begun trunk.down")
    receiver.secret = endpoint.plain
    text = '{"key": "a:1", "at_ms": 1, "data": {"call_id": "a:1"}}'
    for each in (text, text, "no JSON"):
        clean_redis.xadd(OUTBOX, {"call.begun": each})
    async with running(redis_url):
        await until(lambda: receiver.taken)
    assert sum(receiver.attempts.values()) == 1
    assert clean_redis.xlen(OUTBOX) == 0


async def test_a_failing_receiver_gets_each_message_in_the_end(
    clean_redis, redis_url, receiver, make_endpoint
):
    endpoint = await sync_to_async(make_endpoint)(url=receiver.url, events="call.begun")
    receiver.secret, receiver.answer = endpoint.plain, failing(0.5)
    await sync_to_async(tell)(*(f"pbx1:{number}" for number in range(60)))
    async with running(redis_url, pauses_s=(0,) * 40):
        await until(lambda: len(receiver.taken) == 60)
    assert not await WebhookDelivery.objects.exclude(state="delivered").aexists()
    assert sum(receiver.attempts.values()) > 60


async def test_a_slow_receiver_holds_up_no_other(clean_redis, redis_url, receiver, make_endpoint):
    release = threading.Event()

    def hang(message):
        release.wait(PATIENCE_S)
        return 200, {}, b""

    with Receiver(answer=hang) as slow:
        hanging = await sync_to_async(make_endpoint)("slow", slow.url, "call.begun")
        quick = await sync_to_async(make_endpoint)("quick", receiver.url, "call.begun")
        slow.secret, receiver.secret = hanging.plain, quick.plain
        await sync_to_async(tell)(*(f"pbx1:{number}" for number in range(50)))
        async with running(redis_url, timeout_s=PATIENCE_S):
            await until(lambda: len(receiver.taken) == 50)
            assert not slow.taken
            assert slow.requests == sending.PLACES
            release.set()


async def test_what_a_dead_sender_had_in_hand_is_sent_again(
    clean_redis, redis_url, receiver, make_endpoint
):
    endpoint = await sync_to_async(make_endpoint)(url=receiver.url, events="call.begun")
    receiver.secret = endpoint.plain
    await sync_to_async(tell)("pbx1:1.1")
    now = timezone.now()
    taken = await sync_to_async(take_up)(endpoint, 10, now)
    assert [row.call_id for row in taken] == ["pbx1:1.1"]
    assert await sync_to_async(take_up)(endpoint, 10, now) == []
    later = now + timedelta(seconds=LEASE_S)
    assert len(await sync_to_async(take_up)(endpoint, 10, later)) == 1


def test_a_thousand_webhooks_with_nothing_due_cost_no_question_each(
    redis_url, make_endpoint, clean_redis, django_assert_num_queries
):
    sender = Sender((redis_url,), None, (0,), 7)
    make_endpoint(name="one")
    sender._work()
    with CaptureQueriesContext(connection) as with_one:
        sender._work()
    for number in range(20):
        make_endpoint(name=f"more {number}")
    with django_assert_num_queries(len(with_one)):
        sender._work()


def test_no_more_attempts_are_made_at_a_time_than_there_are_places(
    redis_url, make_endpoint, clean_redis, monkeypatch
):
    monkeypatch.setattr(sending, "ALL_PLACES", 5)
    for number in range(8):
        make_endpoint(name=f"crm {number}", events="call.begun")
    tell("pbx1:1.1", "pbx1:1.2")
    sender = Sender((redis_url,), None, (0,), 7)
    _, taken = sender._work()
    assert len({each.endpoint_id for each in taken}) == len(taken) == 5
    sender._under_way.update(each.endpoint_id for each in taken)
    assert sender._work() == (8, [])


async def test_a_fault_of_ours_takes_no_place_for_good(
    clean_redis, redis_url, receiver, make_endpoint, monkeypatch
):
    endpoint = await sync_to_async(make_endpoint)(url=receiver.url, events="call.begun")
    receiver.secret = endpoint.plain
    real, faulty = Courier.attempt, set()

    async def attempt(courier, url, body, signed):
        if signed["webhook-id"] not in faulty:
            faulty.add(signed["webhook-id"])
            raise RuntimeError("a fault of the program")
        return await real(courier, url, body, signed)

    monkeypatch.setattr(Courier, "attempt", attempt)
    many = sending.PLACES + 2
    await sync_to_async(tell)(*(f"pbx1:{number}" for number in range(many)))
    async with running(redis_url):
        await until(lambda: len(receiver.taken) == many)
    assert not await WebhookDelivery.objects.exclude(state="delivered", attempts=2).aexists()


async def test_redis_that_is_away_is_waited_for(redis_url, receiver, make_endpoint, monkeypatch):
    monkeypatch.setattr(sending, "AFTER_ERROR_S", 0.01)
    endpoint = await sync_to_async(make_endpoint)(url=receiver.url, events="call.begun")
    receiver.secret = endpoint.plain
    real, failures = sending.waiting, iter([True, True])

    def flaky(client, most):
        if next(failures, False):
            raise redis.ConnectionError("gone")
        return real(client, most)

    monkeypatch.setattr(sending, "waiting", flaky)
    await sync_to_async(tell)("pbx1:1.1")
    async with running(redis_url):
        await until(lambda: receiver.taken)
    assert len(receiver.taken) == 1


def attempted(outcome, pauses_s=(1, 1), after=timedelta(0)):
    """An attempt with every delivery that is due, each with this outcome."""
    rows = []
    for endpoint in WebhookEndpoint.objects.filter(enabled=True):
        rows += take_up(endpoint, 100, timezone.now() + after)
    return settle([Settled(row, outcome) for row in rows], pauses_s)


def test_after_its_last_attempt_a_message_has_failed(make_endpoint):
    make_endpoint(events="call.begun")
    tell("a:1")
    for attempts in (1, 2):
        assert attempted(Outcome("It answered 500", 500), after=timedelta(days=attempts)) == []
        row = WebhookDelivery.objects.get()
        assert (row.state, row.attempts) == ("waiting", attempts)
        assert row.due_at > timezone.now()
    attempted(Outcome("It answered 500", 500), after=timedelta(days=9))
    row = WebhookDelivery.objects.get()
    assert (row.state, row.problem, row.status) == ("failed", "It answered 500", 500)
    assert WebhookEndpoint.objects.get().enabled


def test_pauses_grow_with_jitter_and_a_receiver_may_ask_for_more():
    pauses = {pause_s(2, (5, 100)) for _ in range(50)}
    assert len(pauses) > 1
    assert all(80 <= each <= 120 for each in pauses)
    assert pause_s(1, (5, 100), retry_after_s=600) == 600


def test_by_default_it_is_tried_for_two_days():
    assert abs(sum(django_settings.WEBHOOK_RETRY_S) - 2 * 86_400) < 3_600


def test_an_endpoint_that_is_gone_is_disabled_at_once(make_endpoint):
    make_endpoint(events="call.begun")
    tell("a:1")
    (sentence,) = attempted(Outcome("It answered 410", 410))
    assert sentence.startswith("Webhook crm is disabled: It answered 410")
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.enabled, endpoint.disabled_because[:15]) == (False, "It answered 410")
    assert Change.objects.filter(object_repr="crm", action=Change.Action.UPDATE).count() == 1


def test_an_endpoint_that_fails_for_two_days_is_disabled(make_endpoint):
    make_endpoint(events="call.begun")
    tell("a:1")
    assert attempted(Outcome("It answered 500", 500)) == []
    since = WebhookEndpoint.objects.get().failing_since
    assert since is not None
    WebhookEndpoint.objects.update(failing_since=since - timedelta(days=2))
    (sentence,) = attempted(Outcome("It answered 500", 500), after=timedelta(days=1))
    assert "took nothing for two days. It answered 500." in sentence
    assert not WebhookEndpoint.objects.get().enabled


def test_one_success_ends_the_failing(make_endpoint):
    make_endpoint(events="call.begun")
    tell("a:1", "a:2")
    (first, second) = take_up(WebhookEndpoint.objects.get(), 2, timezone.now())
    settle([Settled(first, Outcome("It answered 500", 500))], (1,))
    settle([Settled(second, Outcome(status=204))], (1,))
    assert WebhookEndpoint.objects.get().failing_since is None


def test_a_late_failure_does_not_undo_a_success(make_endpoint):
    endpoint = make_endpoint(events="call.begun")
    tell("a:1")
    (row,) = take_up(endpoint, 1, timezone.now())
    settle([Settled(row, Outcome(status=200))], (1,))
    settle([Settled(row, Outcome("It did not answer within 5 s"))], (1,))
    assert WebhookDelivery.objects.get().state == "delivered"


def test_a_delivery_is_sent_again_by_hand(make_endpoint):
    make_endpoint(events="call.begun")
    tell("a:1")
    attempted(Outcome("It answered 400", 400), pauses_s=())
    message_id = WebhookDelivery.objects.get().message_id
    assert send_again(WebhookDelivery.objects.all(), "alice") == 1
    row = WebhookDelivery.objects.get()
    assert (row.state, row.attempts, row.sent_again_by) == ("waiting", 0, "alice")
    assert row.message_id == message_id
    assert Change.objects.filter(object_pk=str(row.pk)).count() == 1


def test_old_deliveries_are_dropped(make_endpoint):
    make_endpoint(events="call.begun")
    tell("a:1", "a:2")
    WebhookDelivery.objects.filter(call_id="a:1").update(
        made_at=timezone.now() - timedelta(days=7, seconds=1)
    )
    assert drop_old(7, timezone.now()) == 1
    assert WebhookDelivery.objects.get().call_id == "a:2"


def test_an_accounts_webhook_is_told_of_its_calls_alone_and_nothing_of_carriers(make_endpoint):
    acme = Account.objects.create(code="acme", name="Acme")
    make_endpoint("of-acme", account=acme)
    make_endpoint("of-all")
    ended([record("pbx1:1.1", account="acme"), record("pbx1:1.2", account="other")])
    of_call = WebhookDelivery.objects.filter(call_id="pbx1:1.1")
    theirs, ours = of_call.order_by("endpoint__name")
    assert WebhookDelivery.objects.filter(call_id="pbx1:1.2").get().endpoint.name == "of-all"
    assert ours.message_id == theirs.message_id
    assert "carrier-a" not in theirs.body
    assert "carrier-a" in ours.body


def test_the_new_holder_of_a_code_is_told_nothing_of_the_former_ones_calls(make_endpoint):
    """They are still up as the account is renamed; another one gets its code meanwhile."""
    now = timezone.now()
    another = Account.objects.create(code="acme", name="Another", code_since=now)
    Account.objects.filter(pk=another.pk).update(code_since=now)
    another.refresh_from_db()
    make_endpoint("of-another", account=another, events="call.ended call.answered")
    before, after = now - timedelta(minutes=5), now + timedelta(minutes=1)
    calls = {"pbx1:1.1": before, "pbx1:1.2": after}
    ended([record(call, account="acme", started_ms=ms_of(at)) for call, at in calls.items()])
    entries = [
        {
            b"call.answered": orjson.dumps(
                {
                    "key": call,
                    "at_ms": ms_of(at),
                    "data": {"call_id": call, "account": "acme", "started_at": at.isoformat()},
                }
            )
        }
        for call, at in calls.items()
    ]
    fan_out([outbox._read(each) for each in entries], WebhookEndpoint.objects.all())

    told = WebhookDelivery.objects.values_list("call_id", "event").order_by("event")
    assert list(told) == [("pbx1:1.2", "call.answered"), ("pbx1:1.2", "call.ended")]


def test_an_alarm_is_told_with_its_row(make_endpoint):
    make_endpoint(events="fraud.alarm")
    alarm = Alarm.objects.create(
        account="acme", kind="calls", at=timezone.now(), seen=412, usual=37
    )
    alarmed(alarm, "account acme: 412 calls")
    assert '"within_the_hour":412' in WebhookDelivery.objects.get().body


def test_a_secret_is_in_no_row_and_its_loss_is_said(make_endpoint, settings):
    endpoint = make_endpoint()
    values = WebhookEndpoint.objects.values().get()
    assert endpoint.plain not in str(values)
    first = endpoint.signing_secrets()
    second_plain = endpoint.new_secret()
    assert endpoint.plain != second_plain
    assert endpoint.signing_secrets()[1:] == first
    endpoint.former_until = timezone.now()
    assert len(endpoint.signing_secrets()) == 1
    settings.SECRET_KEY = "x" * 60
    with pytest.raises(ValueError, match="SECRET_KEY has changed"):
        endpoint.signing_secrets()


def test_only_who_wants_an_event_is_told_of_it(make_endpoint):
    make_endpoint("a", events="call.begun")
    make_endpoint("b", events="call.ended")
    make_endpoint("c", events="call.ended", enabled=False)
    ended([record("pbx1:1.1")])
    assert WebhookDelivery.objects.get().endpoint.name == "b"


async def test_a_process_learns_what_is_wanted_and_keeps_it_when_redis_forgets(
    redis_url, clean_redis
):
    known = outbox.Wanted()
    async with outbox.Redis.from_url(redis_url) as client:
        await known.look(client)
        assert known.events == frozenset()
        clean_redis.set(WANTED, "call.begun trunk.up")
        await known.look(client)
        clean_redis.delete(WANTED)
        await known.look(client)
        assert known.events == {"call.begun", "trunk.up"}
        clean_redis.set(WANTED, "")
        await known.look(client)
        assert known.events == frozenset()
