"""Calls that Ringmaster places itself, on a real Asterisk with real SIP.

The phone is played by the carriers' SIPp: an endpoint whose contact has the number in it does what
that number says.
"""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.utils import timezone

from calls.models import ApiToken, Limit, Trunk
from cdr.models import Cdr
from tests.integration.conftest import Ringmaster
from tests.lab.errors import LabError
from tests.lab.sip import Carrier
from tests.lab.waiting import wait_for


class Program:
    """A program with a token, whose requests the web process answers."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}

    def place(self, key: str = "", **call: object):
        headers = self._headers | ({"Idempotency-Key": key} if key else {})
        return Client().post(
            "/api/v1/calls", call, content_type="application/json", headers=headers
        )


@pytest.fixture
def program(ringmaster: Ringmaster, settings) -> Program:
    """A token of staff that may place calls; account demo has the phones of the lab."""
    settings.API_REQUESTS_PER_S = 0
    settings.ARI_NODES = {ringmaster.asterisk.node: None}
    ringmaster.account(phones="phone-answers phone-busy phone-rings", allowed_prefixes="")
    user = User.objects.create_user("boss", is_staff=True)
    names = ["view_call", "hangup_call", "originate_call", "view_trunk"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    token = ApiToken(name="crm", scopes="calls:originate calls:hangup", user=user)
    plain = token.new_secret()
    token.save()
    return Program(plain)


def placed(answer) -> str:
    assert answer.status_code == 202, answer.content
    return answer.json()["call_id"]


def test_a_phone_is_called_and_then_the_number(
    ringmaster: Ringmaster, program: Program, carrier: Carrier
) -> None:
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    call = placed(program.place(account="demo", phone="phone-answers", number="+4930299"))
    carrier.wait_for("4930299", "BYE-SENT")
    cdr = ringmaster.cdr()

    assert (cdr.call_id, cdr.account, cdr.disposition) == (call, "demo", "answered")
    assert (cdr.ended_by, cdr.integrity, cdr.sip_code) == ("callee", "complete", 200)
    assert (cdr.callee_normalised, cdr.trunk) == ("4930299", "carrier-a-49-1")
    assert cdr.reason == "placed by token crm"
    assert cdr.sip_call_id
    assert cdr.talk_ms > 500


def test_a_phone_that_is_busy(ringmaster: Ringmaster, program: Program, carrier: Carrier) -> None:
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    placed(program.place(account="demo", phone="phone-busy", number="+4930200"))
    cdr = ringmaster.cdr()

    assert (cdr.disposition, cdr.sip_code, cdr.ended_by) == ("busy", 486, "caller")
    assert cdr.reason == "phone phone-busy was busy, so nobody was called; placed by token crm"
    assert not cdr.attempts.exists()
    assert carrier.seen("4930200") == []


def test_a_phone_that_is_not_answered(
    ringmaster: Ringmaster, program: Program, carrier: Carrier
) -> None:
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    placed(program.place(account="demo", phone="phone-rings", number="+4930200", ring_timeout_s=1))
    cdr = ringmaster.cdr()

    assert (cdr.disposition, cdr.ended_by) == ("no_answer", "switch")
    assert "phone-rings did not answer" in cdr.reason


def test_a_callee_who_is_busy(ringmaster: Ringmaster, program: Program, carrier: Carrier) -> None:
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    placed(program.place(account="demo", phone="phone-answers", number="+4930486"))
    cdr = ringmaster.cdr()

    assert (cdr.disposition, cdr.sip_code, cdr.ended_by) == ("busy", 486, "callee")
    assert cdr.attempts.count() == 1


def test_a_limit_lets_one_of_two_in_that_were_ordered_while_there_was_room(
    ringmaster: Ringmaster, program: Program, carrier: Carrier
) -> None:
    """Ordered while no worker attends to calls, so that both phones ring at the same time."""
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    Limit.objects.create(scope="account", target="demo", metric="concurrent", value=1)
    order = {"account": "demo", "phone": "phone-answers", "number": "+4930200"}
    ringmaster.stack.kill("calls", signal.SIGKILL)
    calls = {placed(program.place(**order)) for _ in range(2)}
    ringmaster.stack.restart("calls")
    carrier.wait_for("4930200", "ANSWERED")
    wait_for(
        lambda: Cdr.objects.exists(),
        timeout_s=15,
        failure=lambda: f"no call is refused: {ringmaster.live_calls()}",
    )
    for call in ringmaster.live_calls():
        ringmaster.asterisk.rest("DELETE", f"channels/{call.decode().partition(':')[2]}")
    cdrs = ringmaster.wait_for_cdrs(2)

    assert {cdr.call_id for cdr in cdrs} == calls
    assert sorted(cdr.disposition for cdr in cdrs) == ["answered", "limited"]
    assert carrier.seen("4930200").count("INVITE") == 1


def test_a_trunk_that_no_route_names_is_tried_and_plays_a_sound(
    ringmaster: Ringmaster, program: Program, carrier: Carrier
) -> None:
    Trunk.objects.create(name="new", dial_string="PJSIP/{number}@carrier-a")
    call = placed(program.place(account="demo", trunk="new", number="+4930299"))
    cdr = ringmaster.cdr()

    assert (cdr.call_id, cdr.disposition, cdr.ended_by) == (call, "answered", "callee")
    assert (cdr.trunk, cdr.route) == ("new", "trunk new alone")
    assert cdr.reason == "test call by token crm through trunk new alone"
    assert cdr.integrity == "complete"


@pytest.mark.parametrize(
    ("phone", "rings", "callee", "said"),
    [
        ("phone-answers", "2200", "4930299", ("answered", "callee", "placed by token crm")),
        (
            "phone-rings",
            "2180",
            "4930200",
            (
                "no_answer",
                "switch",
                "phone phone-rings did not answer, so nobody was called; placed by token crm",
            ),
        ),
    ],
)
def test_a_phone_rings_when_redis_is_emptied_and_the_worker_killed(
    ringmaster: Ringmaster, program: Program, carrier: Carrier, phone, rings, callee, said
) -> None:
    began = timezone.now()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    call = placed(program.place(account="demo", phone=phone, number=f"+{callee}", ring_timeout_s=3))
    carrier.wait_for(rings, "INVITE")
    ringmaster.stack.kill("calls", signal.SIGKILL)
    ringmaster.redis.flushall()
    ringmaster.stack.restart("calls")
    ringmaster.stack.wait_one_ready("calls")
    cdr = ringmaster.cdr(begun_since=began)

    assert (cdr.call_id, cdr.integrity) == (call, "recovered")
    assert (cdr.disposition, cdr.ended_by, cdr.reason) == said
    assert carrier.seen(rings).count("INVITE") == 1
    ringmaster.assert_nothing_left()


def test_a_phone_that_is_answered_while_no_bridge_listens_is_connected_once_one_does(
    ringmaster: Ringmaster, program: Program, carrier: Carrier
) -> None:
    """Long before its ringing would have been over."""
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    call = placed(
        program.place(account="demo", phone="phone-answers", number="+4930299", ring_timeout_s=120)
    )
    carrier.wait_for("2200", "INVITE")
    ringmaster.stack.kill("bridge", signal.SIGKILL)
    carrier.wait_for("2200", "ANSWERED")
    ringmaster.stack.restart("bridge")
    ringmaster.stack.wait_one_ready("bridge", ringmaster.asterisk)
    cdr = ringmaster.cdr()

    assert (cdr.call_id, cdr.disposition, cdr.ended_by) == (call, "answered", "callee")
    assert carrier.seen("2200").count("INVITE") == 1
    ringmaster.assert_nothing_left()


def test_while_no_bridge_listens_no_phone_is_rung_and_a_record_says_so(
    ringmaster: Ringmaster, program: Program, carrier: Carrier
) -> None:
    """Nobody would hear it answer."""
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    ringmaster.stack.kill("bridge", signal.SIGKILL)
    placed(program.place(account="demo", phone="phone-answers", number="+4930299"))
    cdr = ringmaster.cdr()
    ringmaster.stack.restart("bridge")
    ringmaster.stack.wait_one_ready("bridge", ringmaster.asterisk)

    assert (cdr.disposition, cdr.ended_by) == ("congestion", "switch")
    assert cdr.reason == (
        f"no ARI bridge is connected to node {ringmaster.asterisk.node}, so PJSIP/phone-answers "
        "was not called; placed by token crm"
    )
    assert carrier.seen("2200") == []


def test_fifty_orders_at_once_with_workers_killed_are_one_call_and_one_record(
    ringmaster: Ringmaster, program: Program, carrier: Carrier
) -> None:
    """kill -9 as the orders come in, as the phone rings, and as the callee does."""
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    order = {"account": "demo", "phone": "phone-answers", "number": "+4930200"}

    def killed() -> None:
        ringmaster.stack.kill("calls", signal.SIGKILL)
        ringmaster.stack.restart("calls")

    def asks():
        try:
            return program.place("once", **order)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(asks) for _ in range(50)]
        asked[5].result()
        killed()
        for number in ("2200", "4930200"):
            try:
                # A lock that lapses, and a worker that starts while others use the machine.
                carrier.wait_for(number, "INVITE", timeout_s=30)
            except LabError as error:
                error.add_note(ringmaster.stack.log("calls"))
                raise
            killed()
        calls = {placed(each.result()) for each in asked}

    assert len(calls) == 1
    for call in calls:
        ringmaster.asterisk.rest("DELETE", f"channels/{call.partition(':')[2]}")
    cdr = ringmaster.cdr()
    assert {cdr.call_id} == calls
    assert carrier.seen("2200").count("INVITE") == 1
    assert carrier.seen("4930200").count("INVITE") == 1
