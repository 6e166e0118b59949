"""Routes are entered together with their trunks."""

from datetime import UTC, datetime

import pytest

from calls.models import Block, Route, RouteTarget, Trunk


@pytest.fixture
def trunk(db):
    return Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")


def form(*trunks, **changes):
    lines = {
        "prefix": "49",
        "action": "route",
        "enabled": "on",
        "targets-TOTAL_FORMS": str(max(1, len(trunks))),
        "targets-INITIAL_FORMS": "0",
        "targets-0-priority": "1",
        "targets-0-weight": "100",
        "targets-0-strip_digits": "0",
    }
    for number, trunk in enumerate(trunks):
        lines |= {
            f"targets-{number}-trunk": str(trunk.pk),
            f"targets-{number}-priority": str(number + 1),
            f"targets-{number}-weight": "100",
            f"targets-{number}-strip_digits": "0",
        }
    return lines | changes


def test_a_route_is_saved_with_its_trunks(admin_client, trunk):
    response = admin_client.post("/admin/calls/route/add/", form(trunk))
    assert response.status_code == 302
    assert RouteTarget.objects.get().route.prefix == "49"


def test_a_route_without_a_trunk_is_refused_with_a_sentence(admin_client, trunk):
    response = admin_client.post("/admin/calls/route/add/", form())
    assert response.status_code == 200
    assert "A route to trunks needs at least one trunk" in response.content.decode()
    assert not Route.objects.exists()


def test_a_block_needs_no_trunk(admin_client, trunk):
    response = admin_client.post("/admin/calls/route/add/", form(action="block"))
    assert response.status_code == 302
    assert not Route.objects.get().targets.exists()


def test_a_second_route_for_all_accounts_is_refused_with_a_sentence(admin_client, trunk):
    Route.objects.create(prefix="49")
    response = admin_client.post("/admin/calls/route/add/", form(trunk))
    assert "There already is a route for this prefix" in response.content.decode()
    assert Route.objects.count() == 1


def test_a_trunk_that_a_route_needs_is_kept_with_a_sentence(admin_client, trunk):
    RouteTarget.objects.create(route=Route.objects.create(prefix="49"), trunk=trunk)
    response = admin_client.post(f"/admin/calls/trunk/{trunk.pk}/delete/", {"post": "yes"})
    assert response.status_code == 200
    assert Trunk.objects.exists()


def test_names_are_escaped(admin_client, trunk):
    Route.objects.create(prefix="49", note="<script>alert(1)</script>")
    page = admin_client.get("/admin/calls/route/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_the_list_of_routes_asks_the_same_number_of_queries_for_any_length(
    admin_client, trunk, django_assert_max_num_queries
):
    for prefix in range(40):
        RouteTarget.objects.create(route=Route.objects.create(prefix=str(prefix)), trunk=trunk)
    with django_assert_max_num_queries(12):
        assert admin_client.get("/admin/calls/route/").status_code == 200


def test_a_route_with_times_that_cannot_be_is_refused_with_sentences(admin_client, trunk):
    wrong = {
        "schedule": "weekends",
        "valid_from_0": "2026-12-02",
        "valid_from_1": "00:00",
        "valid_until_0": "2026-12-01",
        "valid_until_1": "00:00",
    }
    page = admin_client.post("/admin/calls/route/add/", form(trunk, **wrong)).content.decode()
    assert "is no day: write mon, tue" in page
    assert "This is not after the time from which the route is valid." in page
    assert not Route.objects.exists()


def test_the_list_says_when_a_route_holds(admin_client):
    Route.objects.create(
        prefix="49",
        schedule="mon-fri 08:00-18:00",
        valid_until=datetime(2026, 12, 1, tzinfo=UTC),
    )
    page = admin_client.get("/admin/calls/route/").content.decode()
    assert "until 2026-12-01 00:00, mon-fri 08:00-18:00" in page


def test_a_target_may_leave_its_own_rewriting_empty(admin_client, trunk):
    lines = {"targets-0-strip_digits": "", "targets-0-add_prefix": ""}
    response = admin_client.post("/admin/calls/route/add/", form(trunk, **lines))
    assert response.status_code == 302
    assert RouteTarget.objects.get().strip_digits == 0


def test_a_blocklist_entry_is_saved_once(admin_client, db):
    entry = {"side": "caller", "prefix": "44", "enabled": "on", "note": "fraud"}
    assert admin_client.post("/admin/calls/block/add/", entry).status_code == 302
    again = admin_client.post("/admin/calls/block/add/", entry).content.decode()
    assert "There already is an entry for this prefix and all accounts." in again
    assert Block.objects.get().note == "fraud"
    assert "fraud" in admin_client.get("/admin/calls/block/").content.decode()


def test_the_list_of_trunks_says_what_they_are_sent(admin_client, trunk):
    trunk.strip_digits, trunk.rewrite_match, trunk.rewrite_replace = 2, "^49", "0"
    trunk.caller_id_policy, trunk.caller_id = "fixed", "4977"
    trunk.save()
    page = admin_client.get("/admin/calls/trunk/").content.decode()
    assert "strip 2, ^49 → 0" in page
    assert "4977" in page
