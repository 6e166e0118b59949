"""pytest plugin: the environment that Django's settings are read from, and markers.

It is named in pyproject.toml with ``-p``, so it is imported before pytest-django reads the
settings, and it wins over a ``.env``. The machine's own services are out of a test's reach: Redis
is at a port that only the ``redis_url`` fixture opens.

DATABASE_URL is kept when it is set (``make test`` sets PostgreSQL's); else it is SQLite.
"""

import os
import secrets
from pathlib import Path

import pytest

from tests.lab.ports import LOOPBACK, free_port
from tests.lab.services import REDIS_URL_SETTING

REDIS_PORT = free_port()
"""Where the ``redis_url`` fixture starts the private Redis."""

SERVERS = {"redis_url", "_one_asterisk", "double", "guarded", "rabbitmq"}
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server", "admin_client"}
TESTS = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "ari",
    "browser",
    "docs",
    "install",
    "integration",
    "lab_tests",
    "monitoring",
    "project",
    "tls",
}
"""Folders whose tests start processes of their own."""
WHOLE = {"integration", "lab_tests"}
"""Of these, those that start the whole product. Two files of them run at a time, but for those that
say themselves that they are to run alone: they fill the machine, or hold somebody to seconds."""

_redis_url = os.environ.get(REDIS_URL_SETTING) or f"redis://{LOOPBACK}:{REDIS_PORT}/0"
os.environ.update(
    SECRET_KEY=secrets.token_urlsafe(50),
    DEBUG="false",
    HTTPS="false",
    REDIS_URL=_redis_url,
    LIMITS_REDIS_URL=_redis_url,
    CELERY_BROKER_URL=_redis_url,
    ARI_NODES="",
    ARI_APP="ringmaster",
    # The lab's local proxies; and a test's accounts have no limits but those that it gives them.
    LOCAL_CONTEXTS="monkeys,onward",
    NEW_ACCOUNT_MAX_CALLS="0",
    NEW_ACCOUNT_MINUTES_A_DAY="0",
    NEW_ACCOUNT_PREFIXES="",
)
os.environ.setdefault("DATABASE_URL", "sqlite://:memory:")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what touches the database, needs Asterisk, or needs neither nor Redis, for -m."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES:
            item.add_marker(pytest.mark.database)
        if "asterisk" in fixtures:
            item.add_marker(pytest.mark.asterisk)
        if _folder(item) in WHOLE:
            item.add_marker(pytest.mark.whole)
        needs_more = fixtures & SERVERS or item.get_closest_marker("database")
        if not needs_more and _folder(item) not in OUTSIDE:
            item.add_marker(pytest.mark.quick)


@pytest.hookimpl(trylast=True, specname="pytest_collection_modifyitems")
def put_first_what_migrations_made(items: list[pytest.Item]) -> None:
    """A transactional test empties every table after it, and migrations do not run again."""
    items.sort(key=lambda item: item.get_closest_marker("migrated") is None)


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
