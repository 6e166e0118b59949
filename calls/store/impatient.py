"""A Redis client for people who wait: pages and commands, which rather say that Redis is away."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S = 1.0
"""How long a person may be held up by a Redis that does not answer."""


def impatient_client(url: str) -> "redis.Redis":
    """A client that asks once and waits :data:`TIMEOUT_S` at most; whoever makes it closes it."""
    return redis.Redis.from_url(
        url,
        # Of the third redis-py turns every reply back into the form of the second, by hand.
        protocol=2,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


@contextmanager
def impatient_redis(url: str) -> Iterator["redis.Redis"]:
    """An `impatient_client` for one block; it raises redis.RedisError."""
    with impatient_client(url) as client:
        yield client
