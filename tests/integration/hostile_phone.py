"""Somebody who writes what he likes into SIP, as a phone or as a carrier; and what he writes."""

import re
import socket
import time
from itertools import count

from tests.lab.asterisk import Asterisk
from tests.lab.ports import LOOPBACK, free_port

MARK = "6660666"
"""What is planted in every header."""
PLANTED = (
    f"P-Asserted-Identity: <sip:{MARK}@evil.example>",
    f"P-Asserted-Identity: <tel:+{MARK}>",
    f"P-Preferred-Identity: <sip:{MARK}@evil.example>",
    f'Remote-Party-ID: "x" <sip:{MARK}@evil.example>;party=calling;screen=yes;privacy=off',
    f"Diversion: <sip:{MARK}@evil.example>;reason=unconditional;counter=1",
    f"History-Info: <sip:{MARK}@evil.example>;index=1",
    f"Referred-By: <sip:{MARK}@evil.example>",
    f"P-Charge-Info: <sip:{MARK}@evil.example>",
    f"P-Called-Party-ID: <sip:{MARK}@evil.example>",
    f"Call-Info: <http://{MARK}.example/x>;purpose=icon",
    f"Alert-Info: <http://{MARK}.example/x>",
    f"User-to-User: {MARK};encoding=hex",
    f"X-Account-Code: {MARK}",
    f"X-Asterisk-Accountcode: {MARK}",
    f"X-Ringmaster-Account: {MARK}",
    f"Subject: {MARK}",
    f"User-Agent: {MARK}",
    f"Identity: {MARK}",
    f"Reply-To: <sip:{MARK}@evil.example>",
    f"Accept-Language: {MARK}",
    f"P-Visited-Network-ID: {MARK}",
    f"Route: <sip:{MARK}@{LOOPBACK}:9;lr>",
    f"Record-Route: <sip:{MARK}@{LOOPBACK}:9;lr>",
    "Privacy: id;critical",
)
HOPS = (
    "",
    "0",
    "-1",
    "0\r\nX-Ringmaster-Hops: 0",
    "9" * 3_000,
    "1e9",
    "%d9%a1",
    "٣",
    "1,g,${SHELL(id)}",
    "1)})}${SYSTEM(id)}",
    '1"] & $["1',
)
"""What a stranger writes for the count of switches; digits alone come through."""


class HostilePhone:
    """Sends what it is told over UDP as alice, of account demo, and hangs up what is answered.

    ``address``: of this machine, by which Asterisk knows some peers (tests/lab/etc).
    """

    _branches = count(1)

    def __init__(self, asterisk: Asterisk, address: str = LOOPBACK) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.connect((LOOPBACK, asterisk.sip_port))
        self._socket.settimeout(15)
        self._at = "{}:{}".format(*self._socket.getsockname())
        self._target = f"{LOOPBACK}:{asterisk.sip_port}"

    def close(self) -> None:
        self._socket.close()

    def call(self, number: str, *headers: str, uri: str = "", caller: str = "<sip:alice@x>") -> int:
        """Place a call and hang it up as soon as it is answered; gives its final code."""
        self._branch = f"z9hG4bK-{time.time_ns()}-{next(self._branches)}"
        self._tag, self._call = self._branch, f"{self._branch}@hostile"
        self._uri = uri or f"sip:{number}@{self._target}"
        self._from = caller
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
            f"m=audio {free_port(socket.SOCK_DGRAM)} RTP/AVP 0\r\n"
        )
        self._send("INVITE", 1, f"<{self._uri}>", sdp, *headers)
        final, to = self._final()
        if final == 200:
            # A transaction of its own.
            self._branch += "-ack"
        self._send("ACK", 1, to)
        if final == 200:
            self._branch += "-bye"
            self._send("BYE", 2, to)
        return final

    def _send(self, method: str, number: int, to: str, body: str = "", *headers: str) -> None:
        lines = [
            f"{method} {self._uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._at};rport;branch={self._branch}",
            f"From: {self._from};tag={self._tag}",
            f"To: {to}",
            f"Call-ID: {self._call}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:alice@{self._at}>",
            "Max-Forwards: 70",
            *headers,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._socket.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def _final(self) -> tuple[int, str]:
        while True:
            text = self._socket.recv(65536).decode(errors="replace")
            found = re.match(r"SIP/2\.0 ([2-6]\d\d) ", text)
            to = re.search(r"^To: ?(.*?)\r?$", text, re.M)
            if found and to and f"Call-ID: {self._call}" in text and "INVITE" in text:
                return int(found[1]), to[1]
