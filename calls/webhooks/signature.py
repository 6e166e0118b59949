"""The headers of a message, after the Standard Webhooks specification (standardwebhooks.com). Pure.

``webhook-id`` is the same at every attempt, ``webhook-timestamp`` is the attempt's own, and
``webhook-signature`` holds one signature for each secret that is valid, parted by spaces.
"""

import base64
import hmac
from collections.abc import Iterable


def headers(message_id: str, at_s: int, body: bytes, secrets: Iterable[bytes]) -> dict[str, str]:
    """The headers that sign a message; ``at_s`` is in seconds since the epoch."""
    signed = b".".join((message_id.encode(), str(at_s).encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: bytes, signed: bytes) -> str:
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, 'sha256')).decode()}"
