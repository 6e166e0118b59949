"""One attempt to bring a message: one POST, within its time, to an address that is allowed."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import aiohttp
from django.conf import settings
from yarl import URL

from calls.webhooks.addresses import Forbidden, Network, Resolver, check_host, guarded_socket

TIMEOUT_S = 5.0
"""How long the whole of an attempt may take, from resolving the name to the answer."""
MOST_BYTES = 4_096
"""Of an answer that are read; the rest is nobody's business, and may be endless."""
GONE = 410
SLOW_DOWN = (429, 503)
LONGEST_PAUSE_S = 3_600
"""The longest that Retry-After is obeyed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. ``problem``: a sentence without its full stop, '' after success."""

    problem: str = ""
    status: int | None = None
    answer: str = ""
    took_ms: int = 0
    retry_after_s: int = 0

    @property
    def ok(self) -> bool:
        return not self.problem


class Courier:
    """Makes attempts; ``allowed`` are the private networks that may be told something.

    Whoever makes it calls `close`.
    """

    def __init__(self, allowed: Sequence[Network], timeout_s: float = TIMEOUT_S) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        tls = ssl.create_default_context()
        if settings.TLS_CA_FILE:
            tls.load_verify_locations(settings.TLS_CA_FILE)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=Resolver(allowed),
                use_dns_cache=False,
                ssl=tls,
                limit=0,
                socket_factory=partial(guarded_socket, allowed),
            ),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # No proxy of the environment, which would resolve the name once more.
            trust_env=False,
            headers={"User-Agent": "Ringmaster", "Content-Type": "application/json"},
        )

    async def attempt(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        """POST the message; whatever comes of it is an outcome, no exception."""
        began_s = time.monotonic()
        outcome = await self._attempt(url, body, headers)
        return replace(outcome, took_ms=round((time.monotonic() - began_s) * 1000))

    async def _attempt(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        try:
            # As the client reads it, which makes an address of 127。0。0。1 too.
            parts = URL(url)
            if parts.scheme != "https" and not settings.WEBHOOK_ALLOW_HTTP:
                return Outcome("It is not told over http://, unless WEBHOOK_ALLOW_HTTP=true")
            check_host(parts.raw_host or "", self._allowed)
            async with asyncio.timeout(self._timeout_s):
                async with self._session.post(
                    parts, data=body, headers=headers, allow_redirects=False
                ) as response:
                    answer = await response.content.read(MOST_BYTES)
                    return _outcome(response, answer)
        except TimeoutError:
            return Outcome(f"It did not answer within {self._timeout_s:g} s")
        except Forbidden as error:
            return Outcome(str(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, Forbidden):
                return Outcome(str(error.__cause__))
            return Outcome(f"It could not be reached: {str(error)[:200] or type(error).__name__}")

    async def close(self) -> None:
        """Give up connections."""
        await self._session.close()


def _outcome(response: aiohttp.ClientResponse, answer: bytes) -> Outcome:
    status = response.status
    text = answer.decode(errors="replace").replace("\0", "")[:500]
    if 200 <= status < 300:
        return Outcome(status=status, answer=text)
    if 300 <= status < 400:
        return Outcome(f"It answered {status}, and a redirect is not followed", status, text)
    return Outcome(f"It answered {status}", status, text, retry_after_s=_retry_after_s(response))


def _retry_after_s(response: aiohttp.ClientResponse) -> int:
    text = response.headers.get("Retry-After", "")
    if response.status not in SLOW_DOWN or not text.isdecimal() or len(text) > 9:
        return 0
    return min(int(text), LONGEST_PAUSE_S)
