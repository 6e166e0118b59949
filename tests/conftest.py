"""What tests in every folder share: the private Redis, the real Asterisk, callers and carriers.

A part that cannot be had skips the tests that need it, and fails them when CI=true.
"""

import contextlib
from collections.abc import Iterator

import pytest
import pytest_django
import redis
from auditlog.context import disable_auditlog
from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.db.models.signals import post_migrate

import project.urls  # noqa: F401 - the admin's pages, as a web process has them
from project.access.roles import grant, make_groups
from tests import examples
from tests.lab import services
from tests.lab.asterisk import Asterisk
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.pytest_environment import REDIS_PORT
from tests.lab.sip import Caller, Carrier

__all__ = ["examples"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings_tox_suffix() -> None:
    """SQLite in memory, and not in a file that is called so and left behind: pytest-django knows
    Django's own engine only, and gives each process's database a name of its own."""
    for database in settings.DATABASES.values():
        if database["NAME"] == ":memory:":
            database.setdefault("TEST", {})["NAME"] = ":memory:"


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker
) -> None:
    """The test database, without the table of django-auditlog's that calls.Change replaces.

    The library's migrations make it all the same. It refers to users, and PostgreSQL empties no
    table that another one refers to, so no test with processes of its own could be cleaned up.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS auditlog_logentry")
    post_migrate.connect(_make_roles_again, sender=apps.get_app_config("project"))


def _make_roles_again(sender: AppConfig, using: str, **kwargs: object) -> None:
    """A transactional test empties all tables, also the groups that a migration has made, and no
    migration runs again: whoever comes next in its process finds them as they were."""
    if Group.objects.using(using).exists():
        return
    with disable_auditlog():
        make_groups()
        grant(Group.objects.all(), Permission.objects.select_related("content_type"))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a private Redis, the one settings.REDIS_URL names too."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(services.redis_url(REDIS_PORT))
        except LabError as error:
            cannot_be_had(error)
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
            cannot_be_had(error)
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
