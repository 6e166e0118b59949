"""The lab changes ports and peers in the files a user copies, and notices when it cannot."""

import pytest

from tests.lab.asterisk_config import USER_FILES, set_option, write
from tests.lab.errors import LabError

TEXT = "[a]\nport = 1\n; port = 2\n\n[b](template)\nport => 3\n"


def test_an_option_is_set_in_its_own_section_only():
    assert set_option(TEXT, "b", "port", "9") == TEXT.replace("port => 3", "port => 9")


def test_a_backslash_in_a_value_stays_one():
    assert "port = \\1\n" in set_option(TEXT, "a", "port", "\\1")


def test_an_option_the_users_file_has_not_is_an_error():
    with pytest.raises(LabError, match=r"no option host in \[a\]"):
        set_option(TEXT, "a", "host", "x")


def test_a_section_the_users_file_has_not_is_an_error():
    with pytest.raises(LabError, match=r"no section \[c\]"):
        set_option(TEXT, "c", "port", "1")


def test_every_file_of_the_user_is_in_the_labs_configuration(tmp_path):
    ports = {"SIP_PORT": 1, "CARRIER_A_PORT": 2, "CARRIER_B_PORT": 3}

    write(tmp_path, [("http.conf", "general", "bindport", "9999")], ports, {"astrundir": "/r"})

    assert {path.name for path in tmp_path.iterdir()} == {p.name for p in USER_FILES.iterdir()}
    assert "bindport = 9999" in (tmp_path / "http.conf").read_text()
    assert "astrundir => /r" in (tmp_path / "asterisk.conf").read_text()
    assert "contact = sip:127.0.0.1:2\n" in (tmp_path / "pjsip_endpoints.conf").read_text()


def test_the_users_files_hold_no_password_that_works_in_the_lab(asterisk):
    configured = (asterisk.folder / "etc" / "ari.conf").read_text()

    assert "change-me" not in configured
    assert asterisk.password in configured
