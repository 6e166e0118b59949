"""What a node lists of its channels and bridges, read in parts.

With 10,000 calls up `GET /channels` is some 9 MB. Read in one piece it would keep the event loop
from the WebSocket for 50 ms and more, so it is cut into parts of a few hundred entries, and the
loop has its turn between them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson

from ari_bridge.client import AriClient, Unreachable

LISTING_S = 15.0
"""How long a listing may take; that of 20,000 channels took Asterisk most of a second."""
PART = 200
"""Entries read without a pause."""
_FIRST, _BETWEEN, _LAST = b'[{"id":"', b'},{"id":"', b"}]"
"""How Asterisk begins, parts and ends a list. No text in it can look like that: it would have to
end with the first two characters of `_BETWEEN`, and then a comma or a brace follows its quote."""


async def listed(ari: AriClient, path: str) -> AsyncIterator[list[dict[str, Any]]]:
    """The entries of a listing, some at a time.

    Raises Unreachable when there is no whole listing, ValueError when it is not as ARI's models
    say; what was given until then is no listing either.
    """
    answer = await ari.listing(path, LISTING_S)
    if not answer.ok:
        raise Unreachable(f"GET {path} gives {answer.status} {answer.message}", sent=True)
    for part in parts_of(answer.body):
        entries = orjson.loads(part)
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise ValueError(f"GET {path} gives no list")
        yield entries
        await asyncio.sleep(0)


def parts_of(body: bytes) -> Iterator[bytes]:
    """The same JSON array as several, in the same order; as it is where it looks unfamiliar.

    One is cut off after the other: to cut all of 9 MB at once takes as long as to read it.
    """
    body = body.strip()
    if not (body.startswith(_FIRST) and body.endswith(_LAST)):
        yield body
        return
    begin = place = len(_FIRST)
    end = len(body) - len(_LAST)
    while True:
        for _ in range(PART):
            found = body.find(_BETWEEN, place, end)
            if found < 0:
                yield _FIRST + body[begin:end] + _LAST
                return
            place = found + len(_BETWEEN)
        yield _FIRST + body[begin:found] + _LAST
        begin = place
