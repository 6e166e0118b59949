"""The Asterisk sample's locks, on a real Asterisk: TLS, SRTP, ACLs, the security log, From.

The commented blocks are those that a user copies: they are taken into use here by taking their
semicolons off, and nothing else is changed but ports and the place of the certificate.
"""

import asyncio
import re
import shutil
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest

from ari_bridge.client import Unreachable, client_of
from ari_bridge.node import AriNode
from tests.lab.asterisk import ARI_USER, Asterisk
from tests.lab.certificates import make
from tests.lab.errors import LabError
from tests.lab.fail2ban import banned
from tests.lab.missing import cannot_be_had
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.asterisk

PEERS = """
[sealed](secure-caller,lab)
context = monkeys

[plain](caller,lab)
context = monkeys

[desk](caller,lab)
context = monkeys
callerid = Desk <+4930555>

[fenced](caller,lab)
context = monkeys
deny = 0.0.0.0/0,::/0
permit = 192.0.2.10

[locked](caller,lab)
context = monkeys
auth = locked

[locked]
type = auth
auth_type = userpass
username = locked
password = hunter2
"""


def taken_into_use(text: str, name: str) -> str:
    """The file with the block of that name, between its two lines, without its semicolons."""
    edge = rf"(^; ---- {name}[^\n]*\n(?:;[^\n]*----\n)?|^; ---- end of {name}[^\n]*\n)"
    parts = re.split(edge, text, flags=re.M)
    assert len(parts) % 4 == 1, f"{name} is not opened and closed"
    for block in range(2, len(parts), 4):
        parts[block] = re.sub(r"^;(?! )", "", parts[block], flags=re.M)
    return "".join(parts)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make(tmp_path_factory.mktemp("pki") / "pki", LOOPBACK, "localhost")


@pytest.fixture(scope="module")
def switch(certificates):
    """An Asterisk with the blocks in use; ``sip_tls`` and ``ari_tls`` are its ports."""
    sip_tls, ari_tls = free_port(), free_port()

    def prepare(folder: Path, inside: str) -> None:
        keys = folder / "keys"
        keys.mkdir()
        shutil.copy(certificates.cert, keys / "asterisk.crt")
        shutil.copy(certificates.key, keys / "asterisk.key")
        for file, name, ports in (
            ("http.conf", "ARI over TLS", {"127.0.0.1:8089": f"{LOOPBACK}:{ari_tls}"}),
            ("pjsip.conf", "SIP over TLS and SRTP", {"127.0.0.1:5061": f"{LOOPBACK}:{sip_tls}"}),
        ):
            text = taken_into_use((folder / file).read_text(), name)
            for old, new in (ports | {"/etc/asterisk/keys": f"{inside}/keys"}).items():
                assert old in text
                text = text.replace(old, new)
            (folder / file).write_text(text)
        with (folder / "pjsip_endpoints.conf").open("a") as peers:
            peers.write(PEERS)

    try:
        asterisk = Asterisk(prepare=prepare)
    except LabError as error:
        cannot_be_had(error)
    with asterisk:
        asterisk.sip_tls, asterisk.ari_tls = sip_tls, ari_tls
        yield asterisk


class Phone:
    """The few words of SIP that are needed to place one call, over UDP or over TLS."""

    def __init__(self, switch, user: str, ca: str | None = None) -> None:
        self._user = user
        if ca is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.connect((LOOPBACK, switch.sip_port))
            self._via = "UDP"
        else:
            plain = socket.create_connection((LOOPBACK, switch.sip_tls), 5)
            context = ssl.create_default_context(cafile=ca)
            self._socket = context.wrap_socket(plain, server_hostname=LOOPBACK)
            self._via = "TLS"
        self._socket.settimeout(10)
        self._host, self._port = self._socket.getsockname()[:2]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def call(self, *, sealed: bool, name: str = "") -> str:
        """Send an INVITE and give the final answer; ended() hangs an answered call up."""
        crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\n" if sealed else ""
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
            f"m=audio {free_port(socket.SOCK_DGRAM)} RTP/{'S' if sealed else ''}AVP 0\r\n{crypto}"
        )
        self._socket.sendall(self._request("INVITE", 1, sdp, name).encode())
        answer = self._final()
        self._socket.sendall(self._request("ACK", 1, "", name).encode())
        return answer

    def _request(self, method: str, number: int, body: str, name: str = "") -> str:
        transport = self._via.lower()
        shown = f'"{name}" ' if name else ""
        return (
            f"{method} sip:123@{LOOPBACK};transport={transport} SIP/2.0\r\n"
            f"Via: SIP/2.0/{self._via} {self._host}:{self._port};rport"
            f";branch=z9hG4bK-{method}-{self._port}\r\n"
            f"From: {shown}<sip:{self._user}@{LOOPBACK}>;tag={self._port}\r\n"
            f"To: <sip:123@{LOOPBACK}>\r\nCall-ID: {self._port}@test\r\nCSeq: {number} {method}\r\n"
            f"Contact: <sip:{self._user}@{self._host}:{self._port};transport={transport}>\r\n"
            "Max-Forwards: 70\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _final(self) -> str:
        text = ""
        while True:
            text += self._socket.recv(65536).decode()
            found = re.search(r"SIP/2\.0 [2-6]\d\d .*", text, re.S)
            if found and "\r\n\r\n" in found[0]:
                return found[0]


def ended(switch):
    for channel in switch.rest("GET", "channels")[1]:
        switch.rest("DELETE", f"channels/{channel['id']}")
    switch.wait_until_no_channel()


def test_a_call_over_tls_is_answered_with_encrypted_audio(switch, certificates):
    with Phone(switch, "sealed", certificates.ca) as phone:
        answer = phone.call(sealed=True)
        assert answer.startswith("SIP/2.0 200 ")
        assert "RTP/SAVP" in answer
        assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" in answer
        ended(switch)


def test_a_call_that_would_talk_in_the_clear_is_refused(switch, certificates):
    with Phone(switch, "sealed", certificates.ca) as phone:
        assert phone.call(sealed=False).startswith("SIP/2.0 488 ")


def test_the_certificate_is_the_one_that_was_named(switch, tmp_path):
    other = make(tmp_path / "other", LOOPBACK)
    with pytest.raises(ssl.SSLCertVerificationError):
        Phone(switch, "sealed", other.ca)


def test_ringmaster_reaches_ari_over_tls_with_the_authority_alone(switch, certificates):
    async def ask(ca):
        url = f"https://{LOOPBACK}:{switch.ari_tls}"
        async with client_of(AriNode("lab", url, ARI_USER, switch.password, ca)) as ari:
            return await ari.request("GET", "/asterisk/ping")

    assert asyncio.run(ask(certificates.ca)).ok
    with pytest.raises(Unreachable, match=r"(?i)certificate"):
        asyncio.run(ask(""))


@pytest.mark.parametrize(("user", "shown"), [("desk", "+4930555"), ("plain", "plain")])
def test_from_is_not_believed_of_an_endpoint_with_a_callerid(switch, user, shown):
    with Phone(switch, user) as phone:
        assert phone.call(sealed=False, name="The Chancellor").startswith("SIP/2.0 200 ")
        (channel,) = switch.rest("GET", "channels")[1]
        assert channel["caller"]["number"] == shown
        assert (channel["caller"]["name"] == "The Chancellor") is (user == "plain")
        ended(switch)


def test_an_endpoint_is_used_from_its_own_addresses_only(switch):
    with Phone(switch, "fenced") as phone:
        # Asked for a password that nobody has: who is outside learns nothing of who is inside.
        assert phone.call(sealed=False).startswith("SIP/2.0 401 ")


def test_who_is_refused_stands_in_the_security_log_with_the_address(switch, tmp_path):
    log = switch.folder / "log" / "security"
    refused = {"nobody": "InvalidAccountID", "locked": "ChallengeSent", "fenced": "FailedACL"}
    for user, event in refused.items():
        with Phone(switch, user) as phone:
            assert not phone.call(sealed=False).startswith("SIP/2.0 200 ")
        line = rf'SecurityEvent="{event}".*AccountID="{user}".*="IPV4/UDP/127\.0\.0\.1/'
        wait_for(
            lambda line=line: re.search(line, log.read_text()) is not None,
            timeout_s=10,
            failure=lambda event=event: f"No {event} in {log.read_text()[-2000:]}",
        )
    # By the filter that fail2ban comes with; a challenge alone is no offence.
    assert banned(log.read_text(), "asterisk", tmp_path).count("127.0.0.1") >= 2


DENIED = ["recordings/stored", "mailboxes", "deviceStates", "asterisk/logging"]


def test_what_is_refused_by_http_is_answered_on_the_websocket(switch):
    """Asterisk does not look at these restrictions there; asterisk/etc/http.conf says so."""

    async def ask():
        async with (
            aiohttp.ClientSession(headers=basic(switch)) as http,
            http.ws_connect(f"{switch.ari_base}/ari/events?app=test&subscribeAll=false") as talk,
        ):
            await talk.send_json(
                {"type": "RESTRequest", "request_id": "1", "method": "GET", "uri": "mailboxes"}
            )
            while (answer := await talk.receive_json(timeout=5))["type"] != "RESTResponse":
                pass
            return answer["status_code"]

    assert asyncio.run(ask()) not in (401, 403)


def basic(switch):
    return {"Authorization": aiohttp.encode_basic_auth(ARI_USER, switch.password)}


CALLED = ["channels", "bridges", "applications", "asterisk/ping", "asterisk/info"]


@pytest.mark.parametrize("path", DENIED)
def test_what_ringmaster_never_asks_for_is_refused(switch, path):
    assert switch.rest("GET", path)[0] == 403


@pytest.mark.parametrize("path", CALLED)
def test_what_ringmaster_asks_for_is_answered(switch, path):
    assert switch.rest("GET", path)[0] == 200


def test_the_user_of_ari_comes_from_the_named_addresses_only(switch):
    """Linux answers on all of 127.0.0.0/8, so another address of it is that of a stranger."""

    async def ask(local):
        connector = aiohttp.TCPConnector(local_addr=(local, 0))
        async with (
            aiohttp.ClientSession(connector=connector, headers=basic(switch)) as http,
            http.get(f"{switch.ari_base}/ari/channels") as answer,
        ):
            return answer.status

    assert asyncio.run(ask("127.0.0.1")) == 200
    assert asyncio.run(ask("127.0.0.2")) in (401, 403)


def test_a_block_is_taken_into_use_between_its_two_lines():
    block = "; ---- A ----\n; words\n;x = 1\n; ---- end of A ----\n;y = 2\n"
    assert taken_into_use(block, "A") == block.replace(";x", "x")
    with pytest.raises(AssertionError):
        taken_into_use("; ---- A ----\n;x = 1\n", "A")
