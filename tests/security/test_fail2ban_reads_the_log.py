"""The filter in docs/install/fail2ban, by fail2ban itself, on the lines that the product writes."""

import io
import logging
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django_otp.plugins.otp_totp.models import TOTPDevice

from project import logs
from tests.lab.errors import LabError
from tests.lab.fail2ban import Daemon, banned, journal
from tests.lab.missing import cannot_be_had

# All of them, as they need a program of the system's: none is for `make quick`.
pytestmark = pytest.mark.django_db
FILTER = Path(settings.BASE_DIR) / "docs" / "install" / "fail2ban" / "filter.d" / "ringmaster.conf"
FORGED = (
    'x" 203.0.113.9',
    "203.0.113.9 as 'kim'",
    "AXES: New login failure by 203.0.113.9 as 'kim'",
    "x\n2026-11-30 14:00:00,000 WARNING axes.handlers.database "
    "AXES: New login failure by 203.0.113.9 as 'kim'. Created",
    '","message":"AXES: New login failure by 203.0.113.9 as',
)
"""Names that somebody gives who wants 203.0.113.9 to be banned."""


@pytest.fixture(params=["text", "json"])
def log(request):
    """What the process writes from here on, in both forms of LOG_FORMAT."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logs.formatter(request.param))
    for name in ("", "axes"):
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("axes").propagate = False
    yield text
    logging.getLogger("axes").propagate = True
    for name in ("", "axes"):
        logging.getLogger(name).removeHandler(handler)


@pytest.fixture
def found(log, tmp_path):
    """Whom fail2ban would ban for the log so far, by the file or by systemd's journal."""

    def found(before=""):
        lines = "".join(f"{before}{line}\n" for line in log.getvalue().splitlines())
        try:
            return banned(lines, FILTER, tmp_path)
        except LabError as error:
            cannot_be_had(error)

    return found


def test_who_tries_passwords_codes_and_tokens_is_found_by_the_address(
    client, db, clean_redis, found
):
    user = User.objects.create_superuser("kim", password="correct horse battery staple")
    TOTPDevice.objects.create(user=user, confirmed=True)
    for name in ("kim", "o'brien", "kim"):
        data = {"username": name, "password": "wrong"}
        client.post("/admin/login/", data, REMOTE_ADDR="192.0.2.1")
    wrong = {"Authorization": "Bearer rm_0123456789ab_wrong"}
    client.get("/api/v1/cdrs", headers=wrong, REMOTE_ADDR="192.0.2.2")
    client.force_login(user)
    client.post("/admin/verify/", {"code": "000000"}, REMOTE_ADDR="2001:db8::1")

    expected = ["192.0.2.1"] * 3 + ["192.0.2.2", "2001:db8::1"]
    assert found() == expected
    assert found("Nov 30 14:00:00 switch gunicorn[7]: ") == expected


def test_who_goes_on_during_a_lock_is_found_at_every_try(client, db, found):
    """Five find nobody: the jail allows ten."""
    data = {"username": "kim", "password": "wrong"}
    heard = [
        client.post("/admin/login/", data, REMOTE_ADDR="192.0.2.1").status_code for _ in range(12)
    ]

    assert heard == [200] * 4 + [429] * 8
    assert found() == ["192.0.2.1"] * 12


def test_who_tries_codes_without_waiting_is_found_at_every_try(client, db, found):
    user = User.objects.create_superuser("kim", password="correct horse battery staple")
    TOTPDevice.objects.create(user=user, confirmed=True)
    client.force_login(user)
    for _ in range(12):
        client.post("/admin/verify/", {"code": "000000"}, REMOTE_ADDR="192.0.2.1")

    assert found() == ["192.0.2.1"] * 12


def test_no_name_that_is_given_bans_somebody_else(client, db, found):
    for number, name in enumerate(FORGED):
        data = {"username": name, "password": "wrong"}
        client.post("/admin/login/", data, REMOTE_ADDR=f"192.0.2.{number}")

    assert found() == [f"192.0.2.{number}" for number in range(len(FORGED))]


def test_no_name_that_is_given_during_a_lock_bans_somebody_else(client, db, found):
    for name in [*FORGED, *FORGED]:
        client.post("/admin/login/", {"username": name, "password": "x"}, REMOTE_ADDR="192.0.2.1")

    assert found() == ["192.0.2.1"] * 2 * len(FORGED)


def test_nothing_that_an_exception_says_bans_anybody(log, found):
    for name in FORGED:
        try:
            raise ValueError(name)
        except ValueError:
            logging.getLogger("calls").exception("Something went wrong")

    assert "ValueError" in log.getvalue()
    assert found() == []


def test_the_jail_reads_the_journal_of_the_web_process_and_of_no_other(client, db, log, tmp_path):
    """As it is in jail.d, but for the place of the journal."""
    data = {"username": "kim", "password": "wrong"}
    for _ in range(12):
        client.post("/admin/login/", data, REMOTE_ADDR="192.0.2.1")
    lines = log.getvalue()
    units = {
        "ssh.service": lines.replace("192.0.2.1", "198.51.100.9"),
        "ringmaster-web.service": lines,
    }
    ours = FILTER.parents[1]
    try:
        made = journal(tmp_path, units)
        jails = {
            "ringmaster": {"backend": f"systemd[journalfiles={made}]"},
            "asterisk": {"enabled": "false"},
        }
        fail2ban = Daemon(tmp_path, ours, jails)
    except LabError as error:
        cannot_be_had(error)
    with fail2ban:
        fail2ban.wait_for_ban("ringmaster", "192.0.2.1")

    assert fail2ban.bans() == [("ringmaster", "192.0.2.1")]
    assert "198.51.100.9" not in fail2ban.log()
