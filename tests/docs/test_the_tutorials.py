"""What the tutorials tell to type does what they say: in order, in one database each."""

import contextlib
import re
from io import StringIO

import pytest
from django.core.management import call_command

from tests.lab.asterisk_config import REPOSITORY

TUTORIALS = REPOSITORY / "docs" / "tutorials"
pytestmark = pytest.mark.django_db


@pytest.fixture
def follow(clean_redis, settings, tmp_path, monkeypatch):
    """Run a tutorial's Python and CSV, and give what route_number says to each question."""
    monkeypatch.chdir(tmp_path)

    def follow(name):
        text = (TUTORIALS / name).read_text()
        names = {}
        answers = []
        for kind, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.M | re.S):
            if kind == "python":
                exec(block, names)  # noqa: S102 - our own page
            elif kind == "csv":
                (tmp_path / "routes.csv").write_text(block)
            elif kind == "sh":
                for line in block.splitlines():
                    command = re.match(r"python manage\.py (import_routes|route_number) (.*)", line)
                    if command:
                        answers.append(said(command[1], command[2].split()))
        return answers

    return follow


def said(command, words):
    out = StringIO()
    # A number that goes nowhere ends the command with 1.
    with contextlib.suppress(SystemExit):
        call_command(command, *words, stdout=out)
    return out.getvalue()


def test_the_first_call_goes_to_the_monkeys(follow):
    (answer,) = follow("first-call.md")
    assert "4930123456" in answer
    assert "Local/4930123456@monkeys" in answer


def test_the_company_calls_as_its_tutorial_says(follow):
    home, abroad, sales, premium, emergency = follow("company.md")
    assert "PJSIP/+4930123456@carrier-a" in home
    assert "PJSIP" not in abroad
    assert "blocked" in abroad
    assert "PJSIP/+44207946000@carrier-a" not in abroad
    assert "carrier-a" in sales
    assert "PJSIP" not in premium
    assert "blocked" in premium
    assert "carrier-a" in emergency


def test_the_carrier_sends_calls_as_its_rate_sheet_says(follow):
    looked, imported, alpha, beta, mobile = follow("carrier.md")
    assert "7" in looked
    assert imported
    assert "@north" in alpha
    assert "@east" in beta
    assert "@east" in mobile
