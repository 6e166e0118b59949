"""SIP messages as they were caught: what stands in a story of them, without anybody's secrets.

A message is what a far end sent: any of it may be missing, wrong or hostile.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

LONGEST = 8_000
"""Bytes of a message that are kept; an INVITE with its SDP has some 1,200."""
MASK = "(masked)"

_SECRET_HEADER = re.compile(
    r"^((?:Proxy-)?Authorization|(?:WWW|Proxy)-Authenticate|(?:Proxy-)?Authentication-Info|Identity|"
    r"Cookie)([ \t]*:)[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*",
    re.IGNORECASE | re.MULTILINE,
)
_SECRET_SDP = re.compile(r"^(a=(?:crypto|ice-pwd|key-mgmt):)[^\r\n]*|^(k=)[^\r\n]*", re.MULTILINE)
_URI_PASSWORD = re.compile(r"(sips?:[^\s:@;>]+):[^\s@>]+@", re.IGNORECASE)
_HEADER = re.compile(r"^([A-Za-z-]+)[ \t]*:[ \t]*([^\r\n]*)", re.MULTILINE)
_SHORT = {"i": "call-id", "f": "from", "t": "to", "v": "via", "m": "contact", "l": "content-length"}
_REQUEST = re.compile(r"(?P<method>[A-Z]+) (?P<uri>\S+) SIP/2\.0")
_RESPONSE = re.compile(r"SIP/2\.0 (?P<code>[1-6][0-9]{2}) ?(?P<phrase>[^\r\n]*)")


class Part(Enum):
    """What a message is to the others of its transaction."""

    REQUEST = "request"
    RESPONSE = "response"
    ACK = "ack"
    """The request that no response follows, and that follows one (RFC 3261, 13.2.2.4)."""


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One caught message. ``at_us`` is when Asterisk had it, in µs since the epoch; ``source`` and
    ``target`` are ``address:port``; ``text`` is masked."""

    at_us: int
    source: str
    target: str
    call_id: str
    text: str

    @property
    def at_ms(self) -> int:
        return self.at_us // 1000

    @property
    def start_line(self) -> str:
        return self.text.partition("\r\n")[0].partition("\n")[0]

    @property
    def method(self) -> str:
        """The request's method; '' for a response."""
        found = _REQUEST.match(self.start_line)
        return found["method"] if found else ""

    @property
    def code(self) -> int | None:
        """The response's status code; None for a request."""
        found = _RESPONSE.match(self.start_line)
        return int(found["code"]) if found else None

    @property
    def of_method(self) -> str:
        """The method that it is, or that it answers (CSeq)."""
        return self.method or headers(self.text).get("cseq", "").rpartition(" ")[2]

    @property
    def sequence(self) -> str:
        """What a request and its responses have in common: the CSeq."""
        return " ".join(headers(self.text).get("cseq", "").split())

    @property
    def number(self) -> str:
        """The CSeq's number, which an ACK shares with the INVITE that was answered."""
        return self.sequence.partition(" ")[0]

    @property
    def part(self) -> Part:
        """Request, response, or the ACK."""
        if not self.method:
            return Part.RESPONSE
        return Part.ACK if self.method == "ACK" else Part.REQUEST

    @property
    def name(self) -> str:
        """What stands on the ladder: ``INVITE``, ``180 Ringing``, ``200 OK (BYE)``."""
        found = _RESPONSE.match(self.start_line)
        if found is None:
            return self.method or self.start_line[:30]
        said = f"{found['code']} {found['phrase'].strip()}".strip()
        return said if self.of_method == "INVITE" else f"{said} ({self.of_method})"

    def to_plain(self) -> list[Any]:
        """As it is kept in JSON."""
        return [self.at_us, self.source, self.target, self.call_id, self.text]

    @classmethod
    def from_plain(cls, plain: Any) -> Self | None:
        """What `to_plain` wrote, of any version; None where it is no message."""
        try:
            at_us, source, target, call_id, text, *_ = plain
            return cls(int(at_us), str(source), str(target), str(call_id), str(text))
        except (TypeError, ValueError):
            return None


def masked(text: str) -> str:
    """The message without secrets: credentials, keys of media, and what a caller keys in."""
    if text.startswith("INFO "):
        # Its body is what the caller keys in: PINs and numbers of cards.
        text = re.sub(r"(\r?\n\r?\n).+", rf"\1{MASK}", text, flags=re.DOTALL)
    text = _SECRET_HEADER.sub(rf"\1\2 {MASK}", text)
    text = _SECRET_SDP.sub(lambda found: (found[1] or found[2]) + MASK, text)
    return _URI_PASSWORD.sub(rf"\1:{MASK}@", text)


def headers(text: str) -> dict[str, str]:
    """The first value of each header, by its lower-case long name."""
    head = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    found: dict[str, str] = {}
    for name, value in _HEADER.findall(head.partition("\n")[2]):
        name = name.lower()
        found.setdefault(_SHORT.get(name, name), value.strip())
    return found
