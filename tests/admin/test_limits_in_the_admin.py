"""The admin shows limits with what is used of them, from the counters that refuse."""

import pytest
import redis

from calls.models import Account, Limit, Trunk
from calls.store.counters import REFUSED, STATES, WOULD

LIST = "/admin/calls/limit/"
TRUNKS = "/admin/calls/trunk/"
NOBODY_LISTENS = "redis://:hunter2@127.0.0.1:1/0"
LATER_MS = 9_000_000_000_000


@pytest.fixture
def counters(clean_redis, redis_url, settings):
    settings.LIMITS_REDIS_URL = redis_url
    return clean_redis


@pytest.fixture
def demo(db):
    return Account.objects.create(code="demo", name="Demo")


@pytest.fixture
def trunk(db):
    return Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")


def page(client, url=LIST):
    response = client.get(url, follow=True)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_a_limit_is_shown_with_what_is_used_of_it(admin_client, counters, demo):
    Limit.objects.create(scope="account", target="demo", metric="concurrent", value=4)
    counters.zadd(
        "ringmaster:limit:concurrent:account:demo", {"a": LATER_MS, "b": LATER_MS, "lapsed": 1}
    )

    shown = page(admin_client)

    assert "account demo: 4 concurrent" in shown
    assert "2 of 4 (50 %)" in shown


def test_calls_of_the_last_second_and_minutes_are_shown(admin_client, counters, demo):
    Limit.objects.create(scope="account", target="demo", metric="cps", value=5)
    Limit.objects.create(scope="account", target="demo", metric="minutes", value=10, window="month")
    from calls.admin.limits import rules_of
    from calls.store.counters import counter_key

    *_, minutes = rules_of(Limit.objects.order_by("metric"))
    counters.set(counter_key(minutes), 8.5 * 60_000)
    # The page is asked for once before, so that the second one falls within the call's second.
    page(admin_client)
    seconds, micros = counters.time()
    now_us = seconds * 1_000_000 + micros
    counters.rpush("ringmaster:limit:cps:account:demo", now_us, now_us - 1_000_001)

    shown = page(admin_client)

    assert "1 of 5 (20 %)" in shown
    assert "8.5 of 10 (85 %)" in shown


@pytest.mark.parametrize(
    ("used_ms", "level"), [(479_000, "green"), (480_000, "orange"), (600_000, "red")]
)
def test_minutes_past_their_warning_stand_out(admin_client, counters, demo, used_ms, level):
    limit = Limit.objects.create(
        scope="account", target="demo", metric="minutes", value=10, window="day"
    )
    from calls.admin.limits import rules_of
    from calls.store.counters import counter_key

    counters.set(counter_key(rules_of([limit])[0]), used_ms)
    cell = page(admin_client).partition(" of 10 (")[0].rpartition("<span")[2]

    assert level in cell


def test_totals_are_shown_and_can_begin_again(admin_client, counters, demo):
    limit = Limit.objects.create(scope="account", target="demo", metric="concurrent", value=4)
    counters.hset(REFUSED, mapping={"concurrent:account:demo": 1234, "cps:account:demo": 7})
    counters.hset(WOULD, "concurrent:account:demo", 567)

    shown = page(admin_client)
    assert "1,234" in shown
    assert "567" in shown
    chosen = {"action": "set_totals_back", "_selected_action": [limit.pk]}
    admin_client.post(LIST, chosen)

    assert counters.hgetall(REFUSED) == {b"cps:account:demo": b"7"}
    assert not counters.exists(WOULD)


def test_who_may_only_look_cannot_set_totals_back(client, counters, demo, django_user_model):
    from django.contrib.auth.models import Permission

    limit = Limit.objects.create(scope="account", target="demo", metric="concurrent", value=4)
    counters.hset(REFUSED, "concurrent:account:demo", 5)
    viewer = django_user_model.objects.create_user("viewer", password="x", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_limit"))
    client.force_login(viewer)

    assert "account demo: 4 concurrent" in page(client)
    client.post(LIST, {"action": "set_totals_back", "_selected_action": [limit.pk]})
    assert counters.hget(REFUSED, "concurrent:account:demo") == b"5"


def test_a_limit_is_made_and_seen_in_its_form(admin_client, counters, demo):
    form = {
        "scope": "account",
        "account": demo.pk,
        "metric": "concurrent",
        "value": "4",
        "window": "",
        "mode": "observe",
        "warn_percent": "80",
        "enabled": "on",
    }
    assert admin_client.post(f"{LIST}add/", form).status_code == 302
    limit = Limit.objects.get()
    assert limit.mode == "observe"
    assert "0 of 4 (0 %)" in page(admin_client, f"{LIST}{limit.pk}/change/")


def test_a_limit_that_makes_no_sense_is_refused_with_a_sentence(admin_client, counters, demo):
    form = {"scope": "account", "account": 987, "metric": "minutes", "value": "4"}
    form |= {"mode": "enforce", "warn_percent": "80"}
    shown = admin_client.post(f"{LIST}add/", form).content.decode()

    assert "Say whose calls are counted." in shown
    assert "Minutes need a window" in shown
    assert not Limit.objects.exists()


def test_the_lists_stand_without_redis_and_say_so(admin_client, demo, trunk, settings):
    settings.LIMITS_REDIS_URL = NOBODY_LISTENS
    Limit.objects.create(scope="account", target="demo", metric="concurrent", value=4)
    Trunk.objects.update(max_calls=5)

    for url in (LIST, TRUNKS, f"{TRUNKS}{trunk.pk}/change/"):
        shown = page(admin_client, url)
        assert "Redis (LIMITS_REDIS_URL) does not answer" in shown
        assert "unknown" in shown
        assert "hunter2" not in shown


def test_a_trunk_is_shown_with_its_calls_and_its_health(admin_client, counters, trunk):
    form = f"{TRUNKS}{trunk.pk}/change/"
    assert "not counted: no limit" in page(admin_client, TRUNKS)
    Trunk.objects.update(max_calls=2)
    counters.zadd("ringmaster:limit:concurrent:capacity:carrier-a", {"a": LATER_MS, "b": LATER_MS})
    assert "> up <" in page(admin_client, TRUNKS)
    counters.hset(STATES, "carrier-a", "down 1763900000000 9 10")

    for url in (TRUNKS, form):
        assert "2 of 2" in page(admin_client, url)
    assert "> down <" in page(admin_client, TRUNKS)
    assert "down since 2025-11-23 12:13 UTC: 9 of 10 attempts failed" in page(admin_client, form)


def test_a_trunk_whose_health_is_set_by_hand_shows_that(admin_client, counters, trunk):
    counters.hset(STATES, "carrier-a", "down 1763900000000 9 10")
    Trunk.objects.update(health_override="up")

    shown = page(admin_client, TRUNKS)
    assert "always up" in shown
    assert "> down <" not in shown


def test_the_list_asks_redis_once_for_any_length(admin_client, counters, db):
    for prefix in range(40):
        Limit.objects.create(scope="prefix", target=str(prefix), metric="cps", value=1)
    page(admin_client)
    before = counters.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    page(admin_client)

    assert counters.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 1


def test_names_are_escaped(admin_client, counters, db):
    Trunk.objects.create(name="<script>alert(1)</script>", dial_string="PJSIP/{number}@a")
    Limit.objects.create(scope="trunk", target="<script>alert(1)</script>", metric="cps", value=1)

    shown = page(admin_client)
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>alert(1)" not in shown


def test_a_changed_limit_is_told_to_the_workers(redis_url, settings, transactional_db):
    settings.REDIS_URL = redis_url
    with redis.Redis.from_url(redis_url) as client:
        before = int(client.get("ringmaster:config_version") or 0)
        limit = Limit.objects.create(scope="global", metric="cps", value=1)
        limit.delete()
        assert int(client.get("ringmaster:config_version")) == before + 2
