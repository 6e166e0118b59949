"""People who sign in."""

import pytest
from django.contrib.auth.models import User
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

PASSWORD = "correct horse battery staple"
LOGIN = "/admin/login/"


@pytest.fixture
def staff(db):
    return User.objects.create_superuser("kim", password=PASSWORD)


@pytest.fixture
def sign_in(client):
    """Gives the form of the login page, as a browser does."""

    def sign_in(name="kim", password=PASSWORD, *, at="192.0.2.1", forwarded=None, **more):
        headers = {"x-forwarded-for": forwarded} if forwarded else {}
        data = {"username": name, "password": password} | more
        return client.post(LOGIN + "?next=/admin/", data, REMOTE_ADDR=at, headers=headers)

    return sign_in


@pytest.fixture
def code_of():
    """The code that the app of a user shows now, or ``later`` by so many steps of 30 s."""

    def code_of(user, later=0):
        device = TOTPDevice.objects.get(user=user)
        return f"{totp(device.bin_key, drift=later):06}"

    return code_of


@pytest.fixture(autouse=True)
def quick_hashes(settings):
    """A hash made to be slow costs a quarter of a second for each sign-in here."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
