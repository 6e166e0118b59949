"""A writer on the test's own, empty stream, and what its tests look at."""

import pytest
import redis
from django.db import OperationalError

from cdr.stream import FIELD, REJECTED_STREAM, STREAM
from cdr.writer import CdrWriter


@pytest.fixture
def stream(redis_url):
    """The Redis that carries the stream, emptied of call records."""
    client = redis.Redis.from_url(redis_url)
    client.delete(STREAM, REJECTED_STREAM)
    yield client
    client.delete(STREAM, REJECTED_STREAM)
    client.close()


@pytest.fixture
def add(stream):
    """Adds records, or raw texts, to the stream as the call engine does."""

    def add(*records):
        for one in records:
            stream.xadd(STREAM, {FIELD: one if isinstance(one, bytes) else one.to_json()})

    return add


@pytest.fixture
def make_writer(redis_url):
    made = []

    def make(consumer="records@test", **others):
        made.append(CdrWriter(redis_url, consumer, block_ms=10, **others))
        return made[-1]

    yield make
    for writer in made:
        writer.close()


@pytest.fixture
def writer(make_writer):
    return make_writer()


@pytest.fixture
def write_all(stream):
    """Has a writer, whose database takes no more than ten records at once, empty the stream."""

    def write_all(writer, told=lambda records: None):
        def also(records):
            if len(records) > 10:
                raise OperationalError("no answer within 15 s")
            told(records)

        writer._also = also
        failures = 0
        while stream.xlen(STREAM):
            try:
                writer.write_once()
            except OperationalError:
                failures += 1
            assert failures < 20

    return write_all
