"""The ARI double, and what stands at the far side of the bridge."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from calls.machine.events import MailboxEvent
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


class LeaseStub:
    """A lease that nobody else wants."""

    def __init__(self) -> None:
        self.was_offered = asyncio.Event()

    async def take(self) -> bool:
        return True

    async def renew_and_read(self, *key: str) -> tuple[bool, bytes | None]:
        return True, None

    async def offer(self) -> bool:
        self.was_offered.set()
        return True

    async def is_held_elsewhere(self) -> bool:
        return False


class MarkStub:
    """A Redis that forgets when it is told so."""

    def __init__(self) -> None:
        self.forgot = False

    async def has_changed(self) -> bool:
        return self.forgot

    async def shows_change(self, mark: bytes | None) -> bool:
        return self.forgot

    def attended(self) -> None:
        self.forgot = False


async def said(caplog: pytest.LogCaptureFixture, sentence: str) -> None:
    """Wait until the ARI bridge has logged this."""
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if sentence in record.getMessage():
                loop.call_soon(heard.set)

    ear = Ear()
    logger = logging.getLogger("ari_bridge")
    logger.addHandler(ear)
    try:
        if sentence not in caplog.text:
            await asyncio.wait_for(heard.wait(), 10)
    finally:
        logger.removeHandler(ear)
