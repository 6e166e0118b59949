""" "What would this change?" answers on the form, and changes nothing by looking."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission

from calls.models import Account, Block, Limit, Route, RouteTarget, Trunk
from calls.store import config_version
from calls.whatif.replay import Effect
from cdr.writer import store
from tests.cdr.made_up import record

pytestmark = pytest.mark.django_db
STARTED_MS = 1_760_000_000_000


@pytest.fixture
def trunks(db):
    Account.objects.create(code="demo", name="Demo")
    return [Trunk.objects.create(name=name, dial_string="PJSIP/{number}@" + name) for name in "ab"]


@pytest.fixture
def route(trunks):
    route = Route.objects.create(prefix="49")
    RouteTarget.objects.create(route=route, trunk=trunks[0])
    return route


@pytest.fixture
def calls(route):
    """Three calls: to Germany, to France, and of an unknown caller."""
    store(
        [
            record("pbx1:1", callee_received="493000", account="demo"),
            record("pbx1:2", callee_received="331000", account="demo"),
            record("pbx1:3", callee_received="493000", account=""),
        ]
    )


@pytest.fixture(autouse=True)
def bumps(monkeypatch):
    told = []
    monkeypatch.setattr(config_version, "bump", lambda: told.append(1))
    return told


def route_form(*targets, **changes):
    """A route's form; a target is its trunk, with its row where it has one."""
    existing = sum(1 for _, row in targets if row)
    lines = {
        "prefix": "49",
        "action": "route",
        "enabled": "on",
        "targets-TOTAL_FORMS": str(len(targets)),
        "targets-INITIAL_FORMS": str(existing),
        "_replay": "",
    }
    for number, (trunk, row) in enumerate(targets):
        lines |= {
            f"targets-{number}-id": str(row.pk) if row else "",
            f"targets-{number}-route": str(row.route_id) if row else "",
            f"targets-{number}-trunk": str(trunk.pk),
            f"targets-{number}-priority": "1",
            f"targets-{number}-weight": "100",
        }
    return lines | changes


def trunk_form(**changes):
    lines = {
        "name": "a",
        "dial_string": "PJSIP/{number}@a",
        "enabled": "on",
        "ring_timeout_s": "60",
        "strip_digits": "0",
        "caller_id_policy": "pass",
        "health_override": "auto",
        "_replay": "",
    }
    return {name: value for name, value in (lines | changes).items() if value is not None}


def asked(client, url, form):
    response = client.post(url, form)
    assert response.status_code == 200
    report = response.context["replay"]["report"]
    found = [(group.effect, group.before, group.after, group.count) for group in report.groups]
    return found, report.unchanged


def url(row):
    return f"/admin/calls/{row._meta.model_name}/{row.pk}/change/"


def test_another_trunk_of_a_route(admin_client, calls, route, trunks):
    form = route_form((trunks[1], route.targets.get()))
    assert asked(admin_client, url(route), form) == ([(Effect.MOVED, "a", "b", 1)], 2)


def test_a_trunk_taken_off_a_route(admin_client, calls, route, trunks):
    row = RouteTarget.objects.create(route=route, trunk=trunks[1], priority=2)
    form = route_form((trunks[0], route.targets.first()), (trunks[1], row))
    form |= {"targets-1-priority": "2", "targets-0-DELETE": "on"}
    assert asked(admin_client, url(route), form) == ([(Effect.MOVED, "a", "b", 1)], 2)


def test_a_new_route(admin_client, calls, trunks):
    form = route_form((trunks[1], None), prefix="33")
    found = asked(admin_client, "/admin/calls/route/add/", form)
    assert found == ([(Effect.ROUTED, "no route (cause 1)", "b", 1)], 2)
    assert Route.objects.count() == 1


def test_a_route_that_blocks(admin_client, calls, route, trunks):
    form = route_form((trunks[0], route.targets.get()), action="block")
    assert asked(admin_client, url(route), form) == (
        [(Effect.REFUSED, "a", "blocked (cause 21)", 1)],
        2,
    )


def test_a_disabled_trunk(admin_client, calls, trunks):
    form = trunk_form(enabled=None)
    assert asked(admin_client, url(trunks[0]), form) == (
        [(Effect.REFUSED, "a", "congestion (cause 34)", 1)],
        2,
    )


def test_another_form_of_the_number(admin_client, calls, trunks):
    form = trunk_form(add_prefix="00")
    assert asked(admin_client, url(trunks[0]), form) == (
        [(Effect.SENT, "a", "another dial string or number", 1)],
        2,
    )


def test_a_disabled_account(admin_client, calls):
    form = {"code": "demo", "name": "Demo", "_replay": ""}
    found, unchanged = asked(admin_client, url(Account.objects.get()), form)
    assert (Effect.REFUSED, "a", "unauthorized (cause 21)", 1) in found
    assert (Effect.REASON, "no route (cause 1)", "unauthorized (cause 21)", 1) in found
    assert unchanged == 1


def test_a_change_of_words_only(admin_client, calls, route, trunks):
    form = route_form((trunks[0], route.targets.get()), note="a note")
    assert asked(admin_client, url(route), form) == ([], 3)


def test_nothing_is_saved_by_looking(
    admin_client, calls, route, trunks, bumps, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        form = route_form((trunks[1], route.targets.get()), note="n", prefix="4")
        asked(admin_client, url(route), form)
        asked(admin_client, "/admin/calls/route/add/", route_form((trunks[1], None), prefix="33"))
        asked(admin_client, url(trunks[0]), trunk_form(name="c"))
    assert list(Route.objects.values_list("prefix", "note")) == [("49", "")]
    assert [target.trunk.name for target in RouteTarget.objects.all()] == ["a"]
    assert list(Trunk.objects.values_list("name", flat=True)) == ["a", "b"]
    assert not LogEntry.objects.exists()
    assert (callbacks, bumps) == ([], [])


@pytest.mark.django_db(transaction=True)
def test_nothing_is_committed_by_looking(admin_client, calls, route, trunks, bumps):
    bumps.clear()
    asked(admin_client, url(route), route_form((trunks[1], route.targets.get())))
    assert RouteTarget.objects.get().trunk.name == "a"
    assert bumps == []


def test_what_was_entered_stands_in_the_form_and_can_be_saved(admin_client, calls, route, trunks):
    form = route_form((trunks[1], route.targets.get()), note="entered")
    page = admin_client.post(url(route), form)
    shown = page.context["adminform"].form
    assert shown["note"].value() == "entered"
    assert not page.context["errors"]
    assert 'name="_save"' in page.content.decode()
    del form["_replay"]
    assert admin_client.post(url(route), form | {"_save": ""}).status_code == 302
    assert (Route.objects.get().note, RouteTarget.objects.get().trunk.name) == ("entered", "b")


def test_a_form_with_errors_shows_them_instead(admin_client, calls, route):
    page = admin_client.post(url(route), route_form(prefix="x"))
    assert page.status_code == 200
    assert "replay" not in page.context
    assert "A prefix is made of up to 15 digits" in page.content.decode()


def test_only_the_last_calls_are_looked_at(admin_client, route, trunks, settings):
    settings.REPLAY_CALLS = 2
    store(
        record(f"pbx1:{n}", callee_received=f"4930{n}", started_ms=STARTED_MS + n) for n in range(5)
    )
    page = admin_client.post(url(route), route_form((trunks[1], route.targets.get())))
    (group,) = page.context["replay"]["report"].groups
    assert [example.call.dialled for example in group.examples] == ["49304", "49303"]


def test_without_call_records_it_says_so(admin_client, route, trunks):
    page = admin_client.post(url(route), route_form((trunks[1], route.targets.get())))
    assert "There are no call records yet" in page.content.decode()


def test_hostile_numbers_and_names_are_escaped(admin_client, trunks):
    evil = Trunk.objects.create(name="<script>t</script>", dial_string="PJSIP/{number}@e")
    route = Route.objects.create(prefix="")
    RouteTarget.objects.create(route=route, trunk=trunks[0])
    store(
        [
            record("pbx1:<script>c</script>", callee_received="<script>n</script>"),
            record("pbx1:2", callee_received="493000", caller_received="<script>f</script>"),
        ]
    )
    form = route_form((evil, route.targets.get()), prefix="")
    page = admin_client.post(url(route), form).content.decode()
    assert "&lt;script&gt;t&lt;/script&gt;" in page
    form = {"code": "demo", "name": "Demo", "_replay": ""}
    page += admin_client.post(url(Account.objects.get()), form).content.decode()
    assert "&lt;script&gt;n&lt;/script&gt;" in page
    assert "&lt;script&gt;c&lt;/script&gt;" in page
    assert "<script>t" not in page
    assert "<script>n" not in page
    assert "<script>c" not in page


@pytest.fixture
def staff(client, django_user_model):
    """Logs in somebody who has these permissions only."""

    def log_in(*permissions):
        user = django_user_model.objects.create_user("staff", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in


@pytest.mark.parametrize(
    ("permissions", "status", "offered"),
    [
        (("change_trunk", "view_cdr", "view_route"), 200, True),
        (("change_trunk", "view_cdr"), 403, False),
        (("change_trunk",), 403, False),
        (("view_trunk", "view_cdr"), 403, False),
        (("view_cdr",), 403, False),
    ],
)
def test_it_is_for_those_who_may_change_the_row_and_see_call_records(
    staff, calls, trunks, permissions, status, offered
):
    client = staff(*permissions)
    assert client.post(url(trunks[0]), trunk_form()).status_code == status
    page = client.get(url(trunks[0])).content.decode()
    assert ("What would this change?" in page) is offered


def test_a_new_account_changes_no_past_call_so_it_is_not_asked(admin_client):
    assert (
        "What would this change?"
        not in admin_client.get("/admin/calls/account/add/").content.decode()
    )
    assert "What would this change?" in admin_client.get("/admin/calls/trunk/add/").content.decode()


def test_calls_are_looked_up_together(admin_client, route, trunks, django_assert_max_num_queries):
    store(record(f"pbx1:{n}", callee_received=f"4930{n}") for n in range(100))
    with django_assert_max_num_queries(60):
        found, _ = asked(admin_client, url(route), route_form((trunks[1], route.targets.get())))
    assert found == [(Effect.MOVED, "a", "b", 100)]


def test_a_schedule_is_looked_at_as_of_the_call(admin_client, trunks):
    """The calls are of Thursday, 2025-10-09, 08:53:20 UTC and an hour later."""
    route = Route.objects.create(prefix="49", schedule="thu 09:00-18:00")
    RouteTarget.objects.create(route=route, trunk=trunks[0])
    store(
        record(f"pbx1:{n}", callee_received="493000", started_ms=STARTED_MS + n * 3_600_000)
        for n in range(2)
    )
    assert asked(admin_client, url(trunks[0]), trunk_form(enabled=None)) == (
        [(Effect.REFUSED, "a", "congestion (cause 34)", 1)],
        1,
    )


def test_a_blocklist_entry_is_looked_at_too(admin_client, calls, trunks):
    Block.objects.create(side="callee", prefix="4930")
    assert asked(admin_client, url(trunks[0]), trunk_form(enabled=None)) == ([], 3)


def test_a_new_blocklist_entry(admin_client, calls):
    form = {"side": "callee", "prefix": "4930", "enabled": "on", "_replay": ""}
    assert asked(admin_client, "/admin/calls/block/add/", form) == (
        [(Effect.REFUSED, "a", "blocked (cause 21)", 1)],
        2,
    )
    assert not Block.objects.exists()


def limit_form(**changes):
    return {
        "scope": "account",
        "account": Account.objects.get(code="demo").pk,
        "metric": "concurrent",
        "value": "1",
        "mode": "enforce",
        "warn_percent": "80",
        "enabled": "on",
        "_replay": "",
    } | changes


@pytest.fixture
def overlapping(route):
    """Two calls of the account demo at the same time, of 10.1 s of talk each."""
    store(
        record(f"pbx1:{n}", callee_received="493000", started_ms=STARTED_MS + n) for n in range(2)
    )


def test_a_new_limit(admin_client, overlapping, clean_redis):
    found = asked(admin_client, "/admin/calls/limit/add/", limit_form())
    assert found == ([(Effect.REFUSED, "a", "limited (cause 31)", 1)], 1)
    assert not Limit.objects.exists()


def test_a_limit_that_only_observes(admin_client, overlapping, clean_redis):
    form = limit_form(mode="observe")
    assert asked(admin_client, "/admin/calls/limit/add/", form) == ([], 2)


def test_a_limit_of_minutes_knows_what_was_talked_before(
    admin_client, overlapping, clean_redis, settings
):
    """One minute is used by six calls of 10.1 s, of which only the last is looked at."""
    settings.REPLAY_CALLS = 1
    store(record(f"pbx1:o{n}", started_ms=STARTED_MS - n - 1) for n in range(5))
    form = limit_form(metric="minutes", value="1", window="day")
    found = asked(admin_client, "/admin/calls/limit/add/", form)
    assert found == ([(Effect.REFUSED, "a", "limited (cause 31)", 1)], 0)


def test_what_a_trunk_holds(admin_client, overlapping, trunks, clean_redis):
    form = trunk_form(max_calls="1")
    assert asked(admin_client, url(trunks[0]), form) == (
        [(Effect.REFUSED, "a", "congestion (cause 34)", 1)],
        1,
    )


def test_what_is_to_be_said_is_said_once(admin_client, overlapping, settings):
    settings.LIMITS_REDIS_URL = "redis://127.0.0.1:1/0"
    Limit.objects.create(scope="global", metric="concurrent", value=9)
    page = admin_client.post(url(Limit.objects.get()), limit_form(scope="global", account=""))
    said = [str(message) for message in page.context["messages"]]
    assert len([sentence for sentence in said if "LIMITS_REDIS_URL" in sentence]) == 1
