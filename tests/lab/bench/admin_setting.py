"""A private PostgreSQL and Redis, this process's Django on them, and somebody signed in."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab import services

OPTIONS = {
    "shared_buffers": "1GB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
"""Of PostgreSQL: memory as on a machine with so many records, and no log for a standby."""


@contextmanager
def setting(keep: Path | None = None) -> Iterator[Any]:
    """Gives a client of the admin, signed in; everything but what lies in ``keep`` is gone
    afterwards."""
    with services.redis_url() as redis_url, _database(keep) as database_url:
        os.environ.update(
            SECRET_KEY=secrets.token_urlsafe(50),
            DEBUG="false",
            HTTPS="false",
            ALLOWED_HOSTS="testserver,localhost",
            REDIS_URL=redis_url,
            LIMITS_REDIS_URL=redis_url,
            CELERY_BROKER_URL=redis_url,
            DATABASE_URL=database_url,
            ARI_NODES="",
            LOG_LEVEL="ERROR",
            DJANGO_SETTINGS_MODULE="project.settings",
        )
        import django

        django.setup()
        from django.contrib.auth.models import User
        from django.core.management import call_command
        from django.test import Client

        call_command("migrate", verbosity=0, interactive=False)
        if not User.objects.exists():
            _configure()
            User.objects.create_superuser("bench")
        client = _of_a_web_process(Client())
        client.force_login(
            User.objects.get(),
            backend="django.contrib.auth.backends.ModelBackend",
        )
        yield client


def _of_a_web_process(client: Any) -> Any:
    """What a web process has done before its first request is done for this client too."""
    import project.wsgi

    assert project.wsgi.application
    client.handler.load_middleware()
    return client


@contextmanager
def _database(keep: Path | None) -> Iterator[str]:
    server = services.PostgreSQL(durable=False, options=OPTIONS, folder=keep)
    try:
        yield server.start().url
    finally:
        server.stop()
        if keep is None:
            shutil.rmtree(server.folder, ignore_errors=True)


def _configure() -> None:
    from calls.models import Account, Limit, Trunk

    Account.objects.bulk_create(
        Account(code=f"account-{n}", name=f"Account {n}") for n in range(200)
    )
    Trunk.objects.bulk_create(
        Trunk(name=f"trunk-{n}", dial_string=f"PJSIP/{{number}}@trunk-{n}", max_calls=500)
        for n in range(20)
    )
    Limit.objects.bulk_create(
        Limit(scope="account", account=account, metric="concurrent", value=100)
        for account in Account.objects.all()
    )
