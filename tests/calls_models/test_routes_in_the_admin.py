"""Routes are entered together with their trunks."""

import pytest

from calls.models import Route, RouteTarget, Trunk


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
    }
    for number, trunk in enumerate(trunks):
        lines |= {
            f"targets-{number}-trunk": str(trunk.pk),
            f"targets-{number}-priority": str(number + 1),
            f"targets-{number}-weight": "100",
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
