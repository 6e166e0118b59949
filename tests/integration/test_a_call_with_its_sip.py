"""A real call with its SIP: the ladder shows both legs' messages and our commands between them."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from cdr.models import Cdr
from cdr.sip_trace import SipTrace
from cdr.trace_writer import Keeping, TraceWriter
from cdr.writer import CdrWriter
from tests.integration.conftest import Ringmaster
from tests.lab.asterisk_config import REPOSITORY, set_option
from tests.lab.ports import free_port
from tests.lab.processes import Child
from tests.lab.sip import Caller, Carrier
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.alone

CARRIER_A = "PJSIP/{number}@carrier-a"


@pytest.fixture
def traced(ringmaster: Ringmaster, tmp_path: Path) -> Iterator[None]:
    """run_sip_trace beside the Asterisk, which sends it its SIP."""
    bind = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    conf = ringmaster.asterisk.folder / "etc" / "hep.conf"
    conf.write_text(set_option(conf.read_text(), "general", "capture_address", bind))
    child = Child(
        "sip_trace",
        [sys.executable, "manage.py", "run_sip_trace"],
        tmp_path / "sip_trace.log",
        env={**os.environ, "SIP_TRACE": "all", "SIP_TRACE_BIND": bind},
        cwd=REPOSITORY,
    )
    wait_for(lambda: "Catching SIP" in child.log.read_text(), timeout_s=20, failure=child.log_tail)
    for module in ("res_hep.so", "res_hep_pjsip.so"):
        ringmaster.asterisk.cli(f"module load {module}")
    yield
    for module in ("res_hep_pjsip.so", "res_hep.so"):
        ringmaster.asterisk.cli(f"module unload {module}")
    child.stop()


def written(redis_url: str) -> Cdr:
    """Let a records worker that puts SIP into traces write what waits."""
    keeping = Keeping(7, 30, SipTrace(everybody=True))
    records, traces = CdrWriter(redis_url, "test"), TraceWriter(redis_url, "test", keeping)
    try:
        wait_for(
            lambda: records.write_once() + Cdr.objects.count() > 0,
            timeout_s=15,
            failure=lambda: "no record came",
        )
        wait_for(lambda: traces.write_once() > 0, timeout_s=15, failure=lambda: "no trace came")
    finally:
        records.close()
        traces.close()
    return Cdr.objects.get()


def test_the_ladder_of_an_answered_call(
    ringmaster: Ringmaster, traced: None, caller: Caller, carrier: Carrier, admin_client: Client
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)
    ringmaster.stack.kill("records")

    caller.call("49200", talk_ms=500)
    cdr = written(settings.REDIS_URL)

    story = admin_client.get(f"/admin/calls/story/{cdr.call_id}.json").json()
    arrows = [
        (item["source"], item["target"], item["text"])
        for item in story["items"]
        if item["kind"] == "sip"
    ]
    trunk = cdr.trunk
    of_a = [each for each in arrows if "caller" in each[:2]]
    of_b = [each for each in arrows if trunk in each[:2]]
    assert of_a == [
        ("caller", "Asterisk", "INVITE"),
        ("Asterisk", "caller", "100 Trying"),
        ("Asterisk", "caller", "180 Ringing"),
        ("Asterisk", "caller", "200 OK"),
        ("caller", "Asterisk", "ACK"),
        ("caller", "Asterisk", "BYE"),
        ("Asterisk", "caller", "200 OK (BYE)"),
    ]
    assert [each for each in of_b if each[2] != "100 Trying"] == [
        ("Asterisk", trunk, "INVITE"),
        (trunk, "Asterisk", "180 Ringing"),
        (trunk, "Asterisk", "200 OK"),
        ("Asterisk", trunk, "ACK"),
        ("Asterisk", trunk, "BYE"),
        (trunk, "Asterisk", "200 OK (BYE)"),
    ]
    kinds = [item["kind"] for item in story["items"]]
    first_b = next(
        number
        for number, item in enumerate(story["items"])
        if item["kind"] == "sip" and item["target"] == trunk
    )
    assert "command" in kinds[:first_b], "our commands stand between the two INVITEs"
    text = admin_client.get(f"/admin/calls/story/{cdr.call_id}.sip.txt").content.decode()
    assert text.count("INVITE sip:") == 2
    assert "uthorization: Digest" not in text
