"""The primary Redis is killed under calls, and Sentinel makes a replica the primary.

Calls, limits and broker lie in it. No call is lost, each has one record, and those that come
meanwhile wait.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import Ringmaster, _environment
from tests.lab.asterisk import Asterisk
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.sentinel import RedisBehindSentinel, redis_behind_sentinel
from tests.lab.sip import Caller, Carrier
from tests.lab.stack import Stack

pytestmark = pytest.mark.alone

CALLS = 40


@pytest.fixture
def behind_sentinel() -> Iterator[RedisBehindSentinel]:
    try:
        with redis_behind_sentinel() as running:
            yield running
    except LabError as error:
        cannot_be_had(error)


@pytest.fixture
def switch(
    transactional_db: None,
    behind_sentinel: RedisBehindSentinel,
    tmp_path: Path,
    settings: pytest.FixtureRequest,
) -> Iterator[Ringmaster]:
    """Ringmaster on an Asterisk of its own, with that Redis for everything."""
    url = behind_sentinel.url
    settings.REDIS_URL = settings.LIMITS_REDIS_URL = url  # type: ignore[attr-defined]
    with Asterisk(node="failing") as asterisk, redis.Redis.from_url(url) as client:
        environment = {
            **_environment(asterisk),
            **dict.fromkeys(("REDIS_URL", "LIMITS_REDIS_URL", "CELERY_BROKER_URL"), url),
        }
        with Stack(tmp_path, environment) as stack:
            stack.wait_ready(asterisk)
            running = Ringmaster(stack, asterisk, client, tmp_path)
            running.account()
            running.route("49", "PJSIP/{number}@carrier-a")
            yield running


def test_calls_outlive_the_primary(
    switch: Ringmaster, behind_sentinel: RedisBehindSentinel
) -> None:
    caller = Caller(switch.asterisk.sip_port)
    with Carrier(switch.asterisk.carrier_ports["carrier-a"]):
        running = caller.start("49200", talk_ms=6000, count=CALLS, rate=10)
        running.wait_until_answered(CALLS // 2)
        before = behind_sentinel.primary
        before.kill()
        behind_sentinel.wait_until_failed_over(before)
        calls = running.wait(timeout_s=60)
        assert calls.answered == CALLS
        # What was killed comes back, is told that it is a replica, and nobody is led to it.
        before.start()
        assert caller.call("49201").finals == [200]

        cdrs = switch.wait_for_cdrs(CALLS + 1, timeout_s=30)
    assert len(cdrs) == len({cdr.call_id for cdr in cdrs}) == CALLS + 1
    assert {cdr.disposition for cdr in cdrs} == {"answered"}
    switch.assert_nothing_left()
