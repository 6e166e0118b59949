"""The version stands in one place, is shown where one looks, and agrees with the changelog."""

import re
import subprocess
import sys
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse

from project import __version__

BASE = Path(settings.BASE_DIR)
CHANGELOG = (BASE / "CHANGELOG.md").read_text()
RELEASED = re.findall(r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", CHANGELOG, re.M)


@pytest.mark.parametrize("word", ["version", "--version"])
def test_the_command_line_tells_it_without_any_settings(word):
    done = subprocess.run(
        [sys.executable, "manage.py", word],
        cwd=BASE,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"Ringmaster {__version__} (Django {django.get_version()}, ")


@pytest.mark.parametrize("page", ["admin:index", "explain", "ledger", "reports"])
def test_pages_of_the_admin_show_it_at_their_foot(client, db, clean_redis, page):
    client.force_login(User.objects.create_superuser("root"))
    shown = client.get(reverse(page)).content.decode()
    assert f"Ringmaster {__version__}</footer>" in shown


def test_strangers_do_not_learn_it(client, db):
    shown = client.get(reverse("admin:login"))
    assert shown.status_code == 200
    assert __version__ not in shown.content.decode()


def test_the_changelog_goes_from_new_to_old_by_version():
    numbers = [tuple(map(int, version.split("."))) for version in RELEASED]
    assert numbers
    assert numbers == sorted(set(numbers), reverse=True)
    heads = re.findall(r"^## (.*)$", CHANGELOG, re.M)
    assert heads in (["Unreleased", *heads[1:]], heads)
    assert len(heads) - ("Unreleased" in heads) == len(RELEASED)


def test_a_version_is_either_the_newest_of_the_changelog_or_yet_to_come():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev0)?", __version__)
    if __version__.endswith(".dev0"):
        number = tuple(map(int, __version__.removesuffix(".dev0").split(".")))
        assert number > tuple(map(int, RELEASED[0].split(".")))
        assert "## Unreleased" in CHANGELOG
    else:
        assert __version__ == RELEASED[0]
        assert "## Unreleased" not in CHANGELOG
