"""A node that drains, over the API: who is up talks on, who calls now hears 503 from Asterisk."""

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from calls.models import ApiToken, Drain
from calls.models.tokens import SCOPES
from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier


@pytest.fixture
def ask(ringmaster: Ringmaster, settings: LazySettings) -> Client:
    """A program of the staff that may drain, where ARI_NODES is that of the processes."""
    settings.ARI_NODES = {ringmaster.asterisk.node: None}
    boss = User.objects.create_superuser("boss")
    token = ApiToken(name="deploy", scopes=" ".join(SCOPES), user=boss)
    plain = token.new_secret()
    token.save()
    return Client(headers={"Authorization": f"Bearer {plain}"})


def test_a_new_call_hears_503_and_one_that_is_up_talks_on(
    ringmaster: Ringmaster, ask: Client, caller: Caller, carrier: Carrier
) -> None:
    node = ringmaster.asterisk.node
    address = f"/api/v1/drains/node/{node}"
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    up = caller.start("49200", talk_ms=None)
    up.wait_until_answered(1)

    begun = ask.put(address, {"why": "new kernel"}, content_type="application/json").json()
    refused = caller.call("49201")

    assert (begun["state"], begun["left"], begun["by"]) == ("draining", 1, "token deploy")
    assert refused.finals == [503]
    assert "INVITE" not in carrier.seen("49201")
    assert up.running
    (call,) = ask.get("/api/v1/calls").json()["calls"]
    assert (call["callee"], call["state"]) == ("49200", "talking")
    ask.delete(f"/api/v1/calls/{call['call_id']}")
    assert up.wait().answered == 1
    talked, cdr = ringmaster.wait_for_cdrs(2)
    assert (talked.disposition, talked.ended_by) == ("answered", "admin")
    assert (cdr.disposition, cdr.q850_cause) == ("congestion", 42)
    assert cdr.reason == f"node {node} is drained and takes no new calls (new kernel)"
    assert ask.get(address).json()["state"] == "empty"

    assert ask.delete(address).status_code == 204
    assert not Drain.objects.exists()
    assert caller.call("49200").finals == [200]
    ringmaster.wait_for_cdrs(3)
