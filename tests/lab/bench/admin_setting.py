"""A private PostgreSQL and Redis, this process's Django on them, and somebody signed in."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab import services


@contextmanager
def setting() -> Iterator[Any]:
    """Gives a client of the admin, signed in; everything is gone afterwards."""
    with services.redis_url() as redis_url, services.database_url(durable=False) as database_url:
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
        _configure()
        client = Client()
        client.force_login(
            User.objects.create_superuser("bench"),
            backend="django.contrib.auth.backends.ModelBackend",
        )
        yield client


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
