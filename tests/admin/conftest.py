"""Somebody who is signed in."""

import pytest
from django.contrib.auth.models import Permission, User


@pytest.fixture
def signed_in(client, db):
    """Signs somebody in who has these permissions, and gives the client."""

    def signed_in(*codenames):
        user = User.objects.create_user("eve", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return signed_in
