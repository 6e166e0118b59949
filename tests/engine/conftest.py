"""An office on the private Redis."""

from collections.abc import AsyncIterator, Callable

import pytest
import redis

from calls.store.mailbox import Mailboxes, connect
from tests.engine.office import Office
from tests.machine.world import World


@pytest.fixture
async def mailboxes(redis_url: str, clean_redis: "redis.Redis") -> AsyncIterator[Mailboxes]:
    client = connect(redis_url)
    found = Mailboxes(client)
    await found.load_scripts()
    yield found
    await client.aclose()


@pytest.fixture
def office(mailboxes: Mailboxes, clean_redis: "redis.Redis") -> Office:
    return Office(mailboxes, clean_redis)


@pytest.fixture
def make_office(mailboxes: Mailboxes, clean_redis: "redis.Redis") -> Callable[[World], Office]:
    """An office for a call that begins in an empty Redis."""

    def make(world: World) -> Office:
        clean_redis.flushdb()
        return Office(mailboxes, clean_redis, world)

    return make
