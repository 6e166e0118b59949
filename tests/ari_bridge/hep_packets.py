"""Datagrams as res_hep sends them."""

import socket
import struct


def chunk(kind: int, data: bytes, vendor: int = 0) -> bytes:
    return struct.pack("!HHH", vendor, kind, 6 + len(data)) + data


def datagram(payload: bytes, *, at=(1_763_900_000, 123_456), kind=1, extra=b"") -> bytes:
    body = b"".join(
        (
            chunk(1, b"\x02"),
            chunk(2, b"\x11"),
            chunk(3, socket.inet_aton("127.0.0.1")),
            chunk(4, socket.inet_aton("127.0.0.2")),
            chunk(7, (5061).to_bytes(2, "big")),
            chunk(8, (5060).to_bytes(2, "big")),
            chunk(9, at[0].to_bytes(4, "big")),
            chunk(10, at[1].to_bytes(4, "big")),
            chunk(11, bytes([kind])),
            chunk(15, payload),
            extra,
        )
    )
    return b"HEP3" + (6 + len(body)).to_bytes(2, "big") + body
