"""SIP messages as a capture file, for Wireshark and sngrep. What is in it is masked.

The classic format (magic 0xa1b2c3d4, microseconds), raw IP (link type 101). IP and UDP headers are
made up around what Asterisk had; checksums are 0, "not computed".
"""

import ipaddress
import struct
from collections.abc import Iterable

from calls.story.sip import SipMessage

_FILE = struct.pack("!IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)
_UDP = 17
_LONGEST = 65_000


def pcap(messages: Iterable[SipMessage]) -> bytes:
    """The capture file of these messages; those without readable addresses are left out."""
    return _FILE + b"".join(_packet(message) for message in messages)


def _packet(message: SipMessage) -> bytes:
    try:
        source, source_port = _end(message.source)
        target, target_port = _end(message.target)
    except ValueError:
        return b""
    payload = message.text.encode()[:_LONGEST]
    udp = struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload
    if source.version != target.version:
        return b""
    if source.version == 4:
        head = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, _UDP, 0, source.packed, target.packed
        )
    else:
        head = struct.pack("!IHBB16s16s", 6 << 28, len(udp), _UDP, 64, source.packed, target.packed)
    data = head + udp
    seconds, micros = divmod(message.at_us, 1_000_000)
    return struct.pack("!IIII", seconds % 2**32, micros, len(data), len(data)) + data


def _end(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """Address and port of ``127.0.0.1:5060`` or ``[::1]:5060``. Raises ValueError."""
    address, _, port = text.rpartition(":")
    number = int(port)
    if not 0 <= number < 65_536:
        raise ValueError(f"{number} is no port")
    return ipaddress.ip_address(address.strip("[]")), number
