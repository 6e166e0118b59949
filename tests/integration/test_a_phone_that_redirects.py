"""Whom we ring answers 302 and names somebody else: that one is not called by it.

Asterisk follows such an answer where it rings a channel by itself (POST /channels, Dial()), and
takes what stands in front of a slash for a technology. It follows none on a channel that was made
first and dialled then, as trunks and the phones of ordered calls are.
"""

import re
import socket
import threading
from collections.abc import Iterator

import pytest

from calls.models import Account, Block
from tests.integration.conftest import Ringmaster
from tests.integration.test_calls_that_are_ordered import Program, placed, program
from tests.lab.ports import LOOPBACK
from tests.lab.sip import Caller, Carrier

__all__ = ["program"]

HARMLESS = ("4490200", "49301200", "Local%2F4490200%40from-callers")
PAST_US = (
    "PJSIP%2F4490200%40carrier-a",
    "PJSIP/4490200%40carrier-a",
    "Local%2F4490200%40onward",
)
"""User parts of the Contact; 4490 is blocked, and the last is a dialplan that dials a carrier."""


class Redirecting:
    """Answers every INVITE on its port with 302 to one user."""

    def __init__(self, port: int, user: str) -> None:
        self._user, self.heard = user, 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, port))
        # So often it looks whether it is to end.
        self._socket.settimeout(0.2)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                data, sender = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            text = data.decode(errors="replace")
            if not text.startswith("INVITE"):
                continue
            self.heard += 1
            kept = re.findall(r"^(?:Via|From|Call-ID|CSeq): .*?$", text, re.M)
            to = re.search(r"^To: .*?$", text, re.M)
            assert to is not None
            answer = [
                "SIP/2.0 302 Moved Temporarily",
                *(line.strip() for line in kept),
                f"{to[0].strip()};tag=r{self.heard}",
                f"Contact: <sip:{self._user}@{LOOPBACK}>",
                "Content-Length: 0",
            ]
            self._socket.sendto(("\r\n".join(answer) + "\r\n\r\n").encode(), sender)


@pytest.fixture
def redirecting(ringmaster: Ringmaster, user: str) -> Iterator[Redirecting]:
    phone = Redirecting(ringmaster.asterisk.carrier_ports["carrier-b"], user)
    yield phone
    phone.close()
    # What Asterisk has called by itself talks on, and nobody else ends it.
    for channel in ringmaster.asterisk.rest("GET", "channels")[1]:
        ringmaster.asterisk.rest("DELETE", f"channels/{channel['id']}")


@pytest.mark.parametrize("user", [*HARMLESS, *PAST_US])
def test_nobody_is_called_whom_a_phone_names(
    ringmaster: Ringmaster, program: Program, carrier: Carrier, redirecting: Redirecting
) -> None:
    Account.objects.update(phones="phone-redirects")
    Block.objects.create(side="callee", prefix="4490")
    ringmaster.route("", "PJSIP/{number}@carrier-a")
    placed(program.place(account="demo", phone="phone-redirects", number="+4930299"))

    cdrs = ringmaster.wait_for_cdrs(1)
    # Whomever Asterisk still calls by itself.
    ringmaster.asterisk.wait_until_no_channel()

    assert redirecting.heard == 1
    assert "answered" not in {cdr.disposition for cdr in cdrs}
    assert [line for line in carrier.all_seen() if "4490" in line] == []
    assert carrier.seen("4490200") == []


@pytest.mark.parametrize("user", [*HARMLESS, *PAST_US])
def test_nobody_is_called_whom_a_carrier_names(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier, redirecting: Redirecting
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-b")

    assert caller.call("49200").finals != [200]

    assert redirecting.heard == 1
    assert carrier.all_seen() == []
    (attempt,) = ringmaster.cdr().attempts.all()
    assert attempt.sip_code == 302
    ringmaster.assert_nothing_left()
