"""What Prometheus is told, of a switch whose parts are up or away."""

import shutil
import subprocess
import time
from dataclasses import asdict
from datetime import timedelta
from functools import partial

import orjson
import pytest
from django.db import OperationalError
from django.utils import timezone

from calls.models import Trunk
from calls.models.webhooks import WebhookDelivery, WebhookEndpoint
from calls.store import exporter, ledger_light
from calls.store.exporter import Exporter
from calls.store.handover import hand_over
from calls.store.heartbeats import PREFIX
from calls.store.ledger_light import Light
from calls.store.mailbox import ATTEND
from calls.store.outbox import OUTBOX
from calls.store.questions import STATES, WOULD
from cdr.stream import FIELD, STREAM
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.packages import need_program
from tests.metrics.readings import value

pytestmark = pytest.mark.django_db


def told():
    return partial(value, list(Exporter().collect()))


def test_how_a_quiet_switch_does(clean_redis, settings):
    Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a")
    settings.ARI_NODES = {"pbx1": None}
    of = told()
    assert (of("ringmaster_redis_up"), of("ringmaster_limits_redis_up")) == (1, 1)
    assert of("ringmaster_database_up") == 1
    assert of("ringmaster_calls_up") == 0
    assert of("ringmaster_mail_overdue_seconds") == 0
    for kind in ("bridge", "calls", "records"):
        assert of("ringmaster_processes", kind=kind) == 0
    assert of("ringmaster_node_listeners", node="pbx1") == 0
    assert of("ringmaster_trunk_state", trunk="a", state="up") == 1
    assert of("ringmaster_trunk_state", trunk="a", state="down") == 0


def test_calls_that_wait_records_that_wait_and_who_is_alive(clean_redis, settings):
    settings.ARI_NODES = {"pbx1": None}
    overdue_ms = int(time.time() * 1000) - 60_000
    clean_redis.zadd(ATTEND, {"pbx1:1.1": overdue_ms})
    clean_redis.xadd(STREAM, {FIELD: b"x"}, id=f"{overdue_ms}-0")
    for pid, note in ((1, "pbx1 listens"), (2, "pbx1 stands by")):
        clean_redis.set(f"{PREFIX}bridge:host:{pid}", f'{{"started_ms":1,"note":"{note}"}}')

    of = told()

    assert of("ringmaster_calls_up") == 1
    assert of("ringmaster_mail_overdue_seconds") == pytest.approx(60, abs=5)
    assert of("ringmaster_cdr_lag_seconds") == pytest.approx(60, abs=5)
    assert of("ringmaster_cdrs_waiting") == 1
    assert of("ringmaster_processes", kind="bridge") == 2
    assert of("ringmaster_node_listeners", node="pbx1") == 1
    assert of("ringmaster_node_standbys", node="pbx1") == 1


def test_how_far_the_clock_of_redis_is_from_ours(clean_redis, settings, monkeypatch):
    offset = "ringmaster_redis_clock_offset_seconds"
    assert told()(offset, setting="REDIS_URL") == pytest.approx(0, abs=1)
    assert told()(offset, setting="LIMITS_REDIS_URL") is None, "it is the same server"

    host, _, database = settings.REDIS_URL.rpartition("/")
    settings.LIMITS_REDIS_URL = f"{host}/{int(database) + 1}"
    ours = time.time
    monkeypatch.setattr(exporter.time, "time", lambda: ours() + 30)
    for setting in ("REDIS_URL", "LIMITS_REDIS_URL"):
        assert told()(offset, setting=setting) == pytest.approx(-30, abs=1)


def test_what_waits_in_redis_is_as_old_as_its_own_clock_says(clean_redis, monkeypatch):
    """What is due, and when a record came, was written by the clock of Redis."""
    waits_since_ms = int(time.time() * 1000) - 60_000
    clean_redis.zadd(ATTEND, {"pbx1:1.1": waits_since_ms})
    for key, entry in ((STREAM, {FIELD: b"x"}), (OUTBOX, {"call.begun": "{}"})):
        clean_redis.xadd(key, entry, id=f"{waits_since_ms}-0")
    ours = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: ours() + 30_000_000_000)

    of = told()

    for name in ("mail_overdue", "cdr_lag", "webhook_outbox_lag"):
        assert of(f"ringmaster_{name}_seconds") == pytest.approx(60, abs=5), name


@pytest.mark.parametrize(("green", "balances"), [(True, 1), (False, 0)])
def test_whether_every_call_has_its_record(clean_redis, green, balances):
    _last_check(clean_redis, green, age_s=60)
    assert told()("ringmaster_ledger_balances") == balances


def test_a_ledger_that_nobody_has_checked_lately_is_not_told(clean_redis):
    assert told()("ringmaster_ledger_balances") is None
    _last_check(clean_redis, True, age_s=4_000)
    assert told()("ringmaster_ledger_balances") is None


def _last_check(client, green, age_s):
    at_ms = int((time.time() - age_s) * 1000)
    light = Light(at_ms, green, "It was looked at.", took_ms=5)
    client.set(ledger_light.KEY, orjson.dumps(asdict(light)))


def test_a_trunk_that_is_down_and_what_observed_limits_would_have_refused(clean_redis):
    clean_redis.hset(STATES, "gone", "down 1760000000000 9 10")
    clean_redis.hset(WOULD, "concurrent:account:demo", 3)
    of = told()
    assert of("ringmaster_trunk_state", trunk="gone", state="down") == 1
    assert of("ringmaster_trunk_state", trunk="gone", state="up") == 0
    assert of("ringmaster_limit_would_refuse", limit="concurrent:account:demo") == 3


def test_events_that_wait_for_webhooks_and_webhooks_that_were_disabled(clean_redis):
    WebhookEndpoint.objects.create(name="off", url="https://a.example/", enabled=False)
    failed = {"enabled": False, "disabled_because": "410 Gone"}
    WebhookEndpoint.objects.create(name="gone", url="https://b.example/", **failed)
    of = told()
    assert of("ringmaster_webhook_outbox_lag_seconds") == 0
    assert of("ringmaster_webhooks_disabled") == 1, "who was disabled by hand is nobody's trouble"
    waits_since_ms = int(time.time() * 1000) - 90_000
    clean_redis.xadd(OUTBOX, {"call.begun": "{}"}, id=f"{waits_since_ms}-0")
    assert told()("ringmaster_webhook_outbox_lag_seconds") == pytest.approx(90, abs=5)


def test_a_webhook_that_fails_is_told_before_it_is_disabled(clean_redis):
    assert told()("ringmaster_webhook_failing_seconds") == 0
    fails = WebhookEndpoint.objects.create(name="crm", url="https://a.example/")
    WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(hours=2))
    assert told()("ringmaster_webhook_failing_seconds") == pytest.approx(7_200, abs=60)
    fails.enabled = False
    fails.save()
    assert told()("ringmaster_webhook_failing_seconds") == 0, "nobody expects it to take anything"


def test_a_delivery_that_nobody_attempts_is_told_though_redis_holds_nothing(clean_redis):
    """The ends of calls wait in the database alone."""
    crm = WebhookEndpoint.objects.create(name="crm", url="https://a.example/")
    now = timezone.now()
    for number, due_s in enumerate((30, -90)):
        WebhookDelivery.objects.create(
            endpoint=crm,
            message_id=f"msg_{number}",
            event="call.ended",
            made_at=now,
            due_at=now + timedelta(seconds=due_s),
        )
    assert told()("ringmaster_webhook_overdue_seconds") == pytest.approx(90, abs=5)
    WebhookDelivery.objects.filter(message_id="msg_1").update(state="delivered")
    assert told()("ringmaster_webhook_overdue_seconds") == 0, "its time has not come"
    WebhookDelivery.objects.update(state="waiting")
    WebhookEndpoint.objects.update(enabled=False)
    assert told()("ringmaster_webhook_overdue_seconds") == 0, "what is disabled waits on purpose"


def test_no_more_limits_than_there_is_room_for(clean_redis):
    clean_redis.hset(WOULD, mapping={f"cps:account:{number}": number for number in range(200)})
    (family,) = [
        each for each in Exporter().collect() if each.name == "ringmaster_limit_would_refuse"
    ]
    assert len(family.samples) == exporter.MOST_NAMES
    assert min(one.value for one in family.samples) == 150, "the highest are those that are told"


def test_a_redis_that_is_away_is_told_and_hides_nothing_else(settings, clean_redis):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    of = told()
    assert of("ringmaster_redis_up") == 0
    assert (of("ringmaster_database_up"), of("ringmaster_limits_redis_up")) == (1, 1)
    assert of("ringmaster_calls_up") is None, "what is not known is not told"


def test_a_database_that_is_away_is_told_and_hides_nothing_else(clean_redis, monkeypatch):
    def away(*_):
        raise OperationalError("it is away")

    monkeypatch.setattr(exporter.patience, "within", away)
    of = told()
    assert of("ringmaster_database_up") == 0
    assert of("ringmaster_calls_up") == 0
    assert of("ringmaster_webhooks_disabled") is None, "what is not known is not told"


def test_prometheus_own_linter_has_nothing_to_say(clean_redis):
    try:
        promtool = need_program("promtool", "prometheus", purpose="promtool")
    except LabError as error:
        cannot_be_had(error)
    assert shutil.which(promtool)
    hand_over(clean_redis, "calls", "host:1")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=exporter.text(exporter.registry()),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
