"""pytest plugin: the environment that Django's settings are read from, and two markers.

It is named in pyproject.toml with ``-p``, so it is imported before pytest-django reads the
settings, and it wins over a ``.env``. The machine's own services are out of a test's reach: Redis
is at a port that only the ``redis_url`` fixture opens.

DATABASE_URL is kept when it is set (``make test`` sets PostgreSQL's); else it is SQLite.
"""

import os
import secrets

import pytest

from tests.lab.ports import LOOPBACK, free_port
from tests.lab.services import REDIS_URL_SETTING

REDIS_PORT = free_port()
"""Where the ``redis_url`` fixture starts the private Redis."""

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server", "admin_client"}

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
)
os.environ.setdefault("DATABASE_URL", "sqlite://:memory:")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what touches the database and what needs Asterisk, so that -m can choose them."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES:
            item.add_marker(pytest.mark.database)
        if "asterisk" in fixtures:
            item.add_marker(pytest.mark.asterisk)
