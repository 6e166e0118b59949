"""The ARI double, and what stands at the far side of the bridge."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from calls.events import MailboxEvent
from tests.ari.double import AriDouble


class PosterStub:
    """Keeps what it is to post, and lets a test wait for it."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, MailboxEvent]] = []
        self._changed = asyncio.Condition()

    def add(self, call: str, event: MailboxEvent) -> None:
        self.posted.append((call, event))
        self._task = asyncio.get_running_loop().create_task(self._note())

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def wait_for(self, count: int) -> list[tuple[str, MailboxEvent]]:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.posted) >= count)
        return self.posted


@pytest.fixture
async def double() -> AsyncIterator[AriDouble]:
    async with AriDouble() as found:
        yield found


@pytest.fixture
async def poster() -> PosterStub:
    return PosterStub()
