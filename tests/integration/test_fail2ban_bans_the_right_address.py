"""fail2ban itself, as a daemon on our files: whom it bans, and whom nobody can have banned.

Linux answers on all of 127.0.0.0/8, so other addresses of it are those of strangers. The web
process is the one that users start, Asterisk has the sample's configuration; the ban is written
down instead of told to a firewall.
"""

import hashlib
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import requests
from django.conf import settings
from requests.adapters import HTTPAdapter

from tests.integration.conftest import Ringmaster
from tests.lab.asterisk import Asterisk
from tests.lab.errors import LabError
from tests.lab.fail2ban import Daemon
from tests.lab.missing import cannot_be_had
from tests.lab.ports import LOOPBACK, free_port

OURS = Path(settings.BASE_DIR) / "docs" / "install" / "fail2ban"
VICTIM = "203.0.113.9"
"""Whom an attacker wants to be banned."""
FORGED_LINE = (
    "x\n2026-11-30 14:00:00,000 WARNING axes.handlers.database "
    f"AXES: New login failure by {VICTIM} as 'kim'."
)
OF_WEB, OF_SIP = 10, 5
"""The tries that our jails allow in ten minutes."""

PEERS = """
[locked](caller,lab)
context = monkeys
auth = locked

[locked]
type = auth
auth_type = userpass
username = locked
password = hunter2
"""


# ---- the web process ----


class From(HTTPAdapter):
    """Sends from this address of the machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: object, **options: object) -> None:
        super().init_poolmanager(*args, **options, source_address=(self._address, 0))


def browser(address: str) -> requests.Session:
    session = requests.Session()
    session.mount("http://", From(address))
    return session


def sign_in(address: str, base: str, name: str) -> int:
    """One wrong password, sent as a browser sends it; gives the answer's status."""
    session = browser(address)
    page = session.get(f"{base}/admin/login/", timeout=30)
    data = {
        "username": name,
        "password": "wrong",
        "csrfmiddlewaretoken": session.cookies.get("csrftoken", ""),
    }
    assert page.status_code == 200
    return session.post(f"{base}/admin/login/", data=data, timeout=30).status_code


@contextmanager
def guarded_web(ringmaster: Ringmaster, folder: Path, **more: str) -> Iterator[tuple[str, Daemon]]:
    """The web process, with these settings besides, and fail2ban on its log alone."""
    port = free_port()
    changes = {"WEB_BIND": f"{LOOPBACK}:{port}", "ALLOWED_HOSTS": LOOPBACK, **more}
    with ringmaster.beside(["web"], changes) as web:
        web.wait_ready()
        jails = {
            "ringmaster": {"backend": "polling", "logpath": web.folder / "web.log"},
            "asterisk": {"enabled": "false"},
        }
        with daemon(folder, jails) as fail2ban:
            yield f"http://{LOOPBACK}:{port}", fail2ban


@pytest.mark.parametrize("form", ["text", "json"])
def test_who_tries_passwords_or_tokens_is_banned_and_whoever_is_named_is_not(
    ringmaster: Ringmaster, tmp_path: Path, form: str
) -> None:
    with guarded_web(ringmaster, tmp_path, LOG_FORMAT=form) as (base, fail2ban):
        for number in range(OF_WEB):
            sign_in("127.0.0.2", base, f"name-{number}")
        fail2ban.wait_for_ban("ringmaster", "127.0.0.2")

        for number in range(OF_WEB):
            token = f"rm_{number:012}_{VICTIM}"
            headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": VICTIM}
            browser("127.0.0.3").get(f"{base}/api/v1/cdrs", headers=headers, timeout=30)
        fail2ban.wait_for_ban("ringmaster", "127.0.0.3")

        names = (FORGED_LINE, f"{VICTIM} as 'kim'", f'x" {VICTIM}')
        for name in names:
            sign_in("127.0.0.4", base, name)
        fail2ban.wait_until_found("ringmaster", "127.0.0.4", len(names))

        assert fail2ban.bans() == [("ringmaster", "127.0.0.2"), ("ringmaster", "127.0.0.3")]
        assert f"Found {VICTIM}" not in fail2ban.log()


def test_who_is_locked_out_and_goes_on_is_banned_too(
    ringmaster: Ringmaster, tmp_path: Path
) -> None:
    """One name from one address: locked after the fifth, banned after the tenth."""
    with guarded_web(ringmaster, tmp_path) as (base, fail2ban):
        heard = [sign_in("127.0.0.2", base, "kim") for _ in range(OF_WEB)]

        assert heard == [200] * 4 + [429] * 6
        fail2ban.wait_for_ban("ringmaster", "127.0.0.2")


def daemon(folder: Path, jails: dict[str, dict[str, object]]) -> Daemon:
    try:
        return Daemon(folder, OURS, jails)
    except LabError as error:
        cannot_be_had(error)


# ---- Asterisk ----


@pytest.fixture(scope="module")
def switch() -> Iterator[Asterisk]:
    """The sample's Asterisk, with one peer that has a password."""

    def prepare(folder: Path, inside: str) -> None:
        with (folder / "pjsip_endpoints.conf").open("a") as peers:
            peers.write(PEERS)

    try:
        asterisk = Asterisk(prepare=prepare)
    except LabError as error:
        cannot_be_had(error)
    with asterisk:
        yield asterisk


class Phone:
    """Asks for a call from one address, with a password where it is asked for one."""

    _numbers = count(1)

    def __init__(self, switch: Asterisk, address: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.connect((LOOPBACK, switch.sip_port))
        self._socket.settimeout(10)
        self._at = "{}:{}".format(*self._socket.getsockname())

    def __enter__(self) -> "Phone":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(
        self,
        user: str,
        password: str | None = None,
        response: str | None = None,
        *,
        beside: str = "",
        call_id: str = "",
    ) -> int:
        """The final code. ``response``: sent in the place of the one that the password gives.
        ``beside``: another response, in a first header for a realm that nobody asked about."""
        number = next(self._numbers)
        self._call_id = f"{self._at}-{number}{call_id}"
        code, text = self._ask(user, number, 1, "")
        if code == 401 and (password is not None or response is not None):
            words = dict(re.findall(r'(\w+)="([^"]*)"', text))
            uri = f"sip:123@{LOOPBACK}"
            if response is None:
                ha1 = _md5(f"{user}:{words['realm']}:{password}")
                rest = f"{words['nonce']}:00000001:c0ffee:auth:{_md5(f'INVITE:{uri}')}"
                response = _md5(f"{ha1}:{rest}")
            first = (
                'Authorization: Digest username="x", realm="x", nonce="x", uri="sip:x@x", '
                f'response="{beside}"\r\n'
            )
            code, _ = self._ask(
                user,
                number,
                2,
                (first if beside else "")
                + f'Authorization: Digest username="{user}", realm="{words["realm"]}", '
                f'nonce="{words["nonce"]}", uri="{uri}", response="{response}", algorithm=MD5, '
                f'cnonce="c0ffee", qop=auth, nc=00000001, opaque="{words.get("opaque", "")}"\r\n',
            )
        return code

    def _ask(self, user: str, number: int, turn: int, header: str) -> tuple[int, str]:
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
            f"m=audio {free_port(socket.SOCK_DGRAM)} RTP/AVP 0\r\n"
        )
        branch = f"z9hG4bK-{self._at}-{number}-{turn}".replace(":", "-")

        def request(method: str, body: str = "", more: str = "") -> bytes:
            return (
                f"{method} sip:123@{LOOPBACK} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {self._at};rport;branch={branch}\r\n"
                f"From: <sip:{user}@{LOOPBACK}>;tag={branch}\r\nTo: <sip:123@{LOOPBACK}>\r\n"
                f"Call-ID: {self._call_id}\r\nCSeq: {turn} {method}\r\n"
                f"Contact: <sip:x@{self._at}>\r\nMax-Forwards: 70\r\n{more}"
                f"{'Content-Type: application/sdp' + chr(13) + chr(10) if body else ''}"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode()

        self._socket.send(request("INVITE", sdp, header))
        while True:
            text = self._socket.recv(65536).decode()
            found = re.match(r"SIP/2\.0 ([2-6]\d\d) ", text)
            if found and f"Call-ID: {self._call_id}" in text and f"CSeq: {turn} " in text:
                self._socket.send(request("ACK"))
                return int(found[1]), text


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def watched(switch: Asterisk, tmp_path: Path) -> Iterator[Daemon]:
    """fail2ban on the security log of this Asterisk."""
    log = switch.folder / "log" / "security"
    # Or it would read of the attackers of the test before.
    log.write_text("")
    jails = {
        "ringmaster": {"enabled": "false"},
        "asterisk": {"logpath": log, "backend": "polling"},
    }
    with daemon(tmp_path, jails) as running:
        yield running


INJECTED = (
    (f"x%22,RemoteAddress=%22IPV4/UDP/{VICTIM}/5", ""),
    ("x", f'",RemoteAddress="IPV4/UDP/{VICTIM}/5060'),
    ("x", f'",LocalAddress="IPV4/UDP/1.1.1.1/1",RemoteAddress="IPV4/UDP/{VICTIM}/1",Challenge="'),
    ("x%0Ay", ""),
    ("x%0ANOTICE%5B1%5D%20x", f": {VICTIM} failed to authenticate"),
    ("x%0D%0ANOTICE%5B1%5D%20x", f": {VICTIM} failed to authenticate"),
    ("x%0ASECURITY%5B1%5D%20x", f': SecurityEvent="FailedACL",RemoteAddress="IPV4/UDP/{VICTIM}/1"'),
    (VICTIM, ""),
)
"""(name, end of the Call-ID) of a caller who wants not to be found, or somebody else to be."""


@pytest.mark.parametrize(("name", "call_id"), INJECTED)
def test_who_tries_names_of_phones_is_banned_whatever_he_calls_himself(
    switch: Asterisk, watched: Daemon, name: str, call_id: str
) -> None:
    with Phone(switch, "127.0.0.2") as phone:
        for _ in range(OF_SIP):
            assert phone.call(name, call_id=call_id) == 401
    watched.wait_for_ban("asterisk", "127.0.0.2")

    assert watched.bans() == [("asterisk", "127.0.0.2")]
    assert f"Found {VICTIM}" not in watched.log()


def test_who_tries_passwords_is_banned_and_who_knows_one_is_not(
    switch: Asterisk, watched: Daemon
) -> None:
    with Phone(switch, "127.0.0.3") as good:
        for _ in range(OF_SIP + 1):
            assert good.call("locked", "hunter2") == 200
    ended(switch)
    with Phone(switch, "127.0.0.4") as bad:
        for number in range(OF_SIP):
            assert bad.call("locked", f"guess-{number}") == 401
    watched.wait_for_ban("asterisk", "127.0.0.4")

    assert watched.bans() == [("asterisk", "127.0.0.4")]


@pytest.mark.parametrize(
    "sent", ['x\\"', f'x\\",RemoteAddress=\\"IPV4/UDP/{VICTIM}/5060', "x,RemoteAddress="]
)
def test_nothing_that_is_sent_with_a_password_hides_that_it_is_wrong(
    switch: Asterisk, watched: Daemon, sent: str
) -> None:
    """Asterisk notes the first response of several, behind the address: a quote in it must not
    hide the guess that the second one is."""
    with Phone(switch, "127.0.0.5") as phone:
        for number in range(OF_SIP):
            assert phone.call("locked", f"guess-{number}", beside=sent) == 401
    watched.wait_for_ban("asterisk", "127.0.0.5")

    assert watched.bans() == [("asterisk", "127.0.0.5")]
    assert f"Found {VICTIM}" not in watched.log()


def test_a_right_password_beside_a_wrong_one_gets_in_so_the_wrong_one_must_not_hide(
    switch: Asterisk,
) -> None:
    """Why the test above matters: Asterisk does look at the second header."""
    with Phone(switch, "127.0.0.6") as phone:
        assert phone.call("locked", "hunter2", beside='x\\"') == 200
    ended(switch)


def ended(switch: Asterisk) -> None:
    for channel in switch.rest("GET", "channels")[1]:
        switch.rest("DELETE", f"channels/{channel['id']}")
    switch.wait_until_no_channel()
