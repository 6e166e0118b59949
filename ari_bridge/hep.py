"""HEPv3, in which Asterisk's res_hep sends each SIP message that it has sent or received. Pure.

A datagram is ``HEP3``, its length (2 bytes, big-endian), then chunks: vendor (2), type (2), length
(2, these six included), data. Types used here, of vendor 0: 3/4 and 5/6 addresses (IPv4, IPv6), 7/8
ports, 9/10 time in s and µs, 11 what the payload is (1 = SIP), 15 the payload. (The HEP/EEP rev. 11
specification of the Homer project; no Python library of it was kept up in 2026.)
"""

import ipaddress
import struct
from dataclasses import dataclass

SIP = 1
_HEAD = struct.Struct("!4sH")
_CHUNK = struct.Struct("!HHH")


class HepError(ValueError):
    """The datagram is no HEPv3; the text says why."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One caught message: when (µs since the epoch), from where to where (``address:port``)."""

    at_us: int
    source: str
    target: str
    kind: int
    payload: bytes


def unpack(datagram: bytes) -> Packet:
    """The message in a datagram. Raises HepError."""
    if len(datagram) < _HEAD.size or not datagram.startswith(b"HEP3"):
        raise HepError("a datagram does not begin with HEP3")
    _, length = _HEAD.unpack_from(datagram)
    if length != len(datagram):
        raise HepError(f"a datagram of {len(datagram)} bytes says that it has {length}")
    chunks = _chunks(datagram)
    try:
        seconds, micros = _number(chunks[9]), _number(chunks[10])
        return Packet(
            seconds * 1_000_000 + micros,
            _end(chunks, 3, 5, 7),
            _end(chunks, 4, 6, 8),
            _number(chunks.get(11, b"\x01")),
            chunks[15],
        )
    except (KeyError, ValueError) as error:
        raise HepError(f"a datagram lacks a chunk or has a wrong one: {error}") from error


def _chunks(datagram: bytes) -> dict[int, bytes]:
    chunks: dict[int, bytes] = {}
    at = _HEAD.size
    while at < len(datagram):
        if at + _CHUNK.size > len(datagram):
            raise HepError("a datagram ends in the middle of a chunk")
        vendor, kind, length = _CHUNK.unpack_from(datagram, at)
        if length < _CHUNK.size or at + length > len(datagram):
            raise HepError(f"a chunk of type {kind} has the impossible length {length}")
        if vendor == 0:
            chunks[kind] = datagram[at + _CHUNK.size : at + length]
        at += length
    return chunks


def _end(chunks: dict[int, bytes], v4: int, v6: int, port: int) -> str:
    packed = chunks[v4] if v4 in chunks else chunks[v6]
    address = ipaddress.ip_address(packed)
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"{shown}:{_number(chunks[port])}"


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
