"""Counters on a real Redis, and calls that ask at them."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis

from calls.limits.rules import Book
from calls.store.counters import Limits
from calls.store.limit_book import LimitBook
from calls.store.mailbox import connect


class OpenBook(LimitBook):
    """A book that a test fills."""

    def __init__(self, book: Book | None = None) -> None:
        super().__init__()
        self._book = book or Book()
        self._version = 0

    async def refresh(self) -> None:
        """What a test has put into it stays."""

    def known(self, config_version: int) -> Book | None:
        """It holds at every version."""
        return self._book


@pytest.fixture
async def make_limits(
    redis_url: str, clean_redis: "redis.Redis"
) -> AsyncIterator[Callable[..., Limits]]:
    """Makes what a worker process has, each with connections of its own."""
    made = []

    def make(book: Book | None = None, **options: Any) -> Limits:
        made.append(Limits(connect(redis_url), OpenBook(book), **options))
        return made[-1]

    yield make
    for limits in made:
        await limits.close()


@pytest.fixture
def limits(make_limits: Callable[..., Limits]) -> Limits:
    return make_limits()
