"""What tests in every folder share: the private Redis, the real Asterisk, callers and carriers.

A part that cannot be had skips the tests that need it, and fails them when CI=true.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn

import pytest
import redis

from tests.lab import services
from tests.lab.asterisk import Asterisk
from tests.lab.errors import LabError
from tests.lab.pytest_environment import REDIS_PORT
from tests.lab.sip import Caller, Carrier


def _cannot_be_had(error: LabError) -> NoReturn:
    if os.environ.get("CI") == "true":
        raise error
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a private Redis, the one settings.REDIS_URL names too."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(services.redis_url(REDIS_PORT))
        except LabError as error:
            _cannot_be_had(error)
        yield url


@pytest.fixture
def clean_redis(redis_url: str) -> Iterator["redis.Redis"]:
    """A client of the private Redis, which is empty before the test and after it."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture(scope="session")
def _one_asterisk() -> Iterator[Asterisk]:
    with contextlib.ExitStack() as stack:
        try:
            asterisk = stack.enter_context(Asterisk())
        except LabError as error:
            _cannot_be_had(error)
        yield asterisk


@pytest.fixture
def asterisk(_one_asterisk: Asterisk) -> Asterisk:
    """The real Asterisk, one for the whole run, up and without a channel or bridge."""
    if not _one_asterisk.running:
        _one_asterisk.start()
    _one_asterisk.wait_until_empty()
    return _one_asterisk


@pytest.fixture
def caller(asterisk: Asterisk) -> Caller:
    """Places calls to Asterisk as ``alice``, who has the accountcode ``demo``."""
    return Caller(asterisk.sip_port)


@pytest.fixture
def carrier(asterisk: Asterisk) -> Iterator[Carrier]:
    """``PJSIP/{number}@carrier-a``."""
    with Carrier(asterisk.carrier_ports["carrier-a"]) as running:
        yield running


@pytest.fixture
def carrier_b(asterisk: Asterisk) -> Iterator[Carrier]:
    """``PJSIP/{number}@carrier-b``."""
    with Carrier(asterisk.carrier_ports["carrier-b"]) as running:
        yield running
