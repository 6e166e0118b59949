"""manage.py ringmaster_init writes settings that the next start takes, for their owner alone."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from project import environment, first_settings
from project.first_settings import Choices
from tests.lab.asterisk_config import USER_FILES

SAMPLES = {path.name: path.read_text() for path in USER_FILES.glob("*.conf")}
SHOW = (
    "import django; django.setup(); from django.conf import settings as s;"
    "print(s.REDIS_URL, *s.ALLOWED_HOSTS, *(f'{n.name} {n.url} {n.user} {n.password}'"
    " for n in s.ARI_NODES.values()), s.DATABASES['default']['NAME'])"
)


@pytest.fixture
def installed(checkout, tmp_path):
    """A checkout without any settings."""
    folder = tmp_path / "ringmaster"
    shutil.copytree(checkout, folder)
    base = Path(settings.BASE_DIR)
    shutil.copy(base / "manage.py", folder)
    shutil.copytree(base / "asterisk", folder / "asterisk")
    return folder


def run(folder, *arguments, answers=None, **environ):
    return subprocess.run(
        [sys.executable, *arguments],
        input=answers,
        stdin=subprocess.DEVNULL if answers is None else None,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings"} | environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def init(folder, *arguments, **more):
    return run(folder, "manage.py", "ringmaster_init", *arguments, **more)


def read(folder):
    return run(folder, "-c", SHOW)


def test_what_is_written_is_enough_to_start(installed):
    done = init(installed, "--no-input")
    assert (done.returncode, done.stderr) == (0, "")

    started = read(installed)
    assert started.stderr == ""
    assert started.stdout.startswith("redis://127.0.0.1:6379/0 localhost 127.0.0.1 pbx1 http://127")
    assert started.stdout.endswith(f"{installed}/ringmaster.sqlite3\n")


def test_its_owner_alone_can_read_it_whatever_the_umask(installed):
    before = os.umask(0)
    try:
        init(installed, "--no-input")
    finally:
        os.umask(before)
    assert stat.S_IMODE((installed / ".env").stat().st_mode) == 0o600


def test_the_password_for_ari_conf_is_the_one_that_was_written(installed):
    shown = init(installed, "--no-input").stdout
    password = read(installed).stdout.split()[6]

    assert len(password) > 30
    assert f"\npassword = {password}\n" in shown


def test_two_installations_share_no_secret(installed):
    init(installed, "--no-input")
    first = (installed / ".env").read_text()
    init(installed, "--no-input", "--force")

    for name in ("SECRET_KEY=", "ARI_NODES="):
        lines = {
            next(line for line in text.splitlines() if line.startswith(name))
            for text in (first, (installed / ".env").read_text())
        }
        assert len(lines) == 2
    assert (installed / ".env.old").read_text() == first


def test_a_file_that_is_there_is_left_as_it_is(installed):
    (installed / ".env").write_text("SECRET_KEY=mine\n")
    done = init(installed, "--no-input")

    assert done.returncode == 1
    assert "is there, and nothing has been changed" in done.stderr
    assert (installed / ".env").read_text() == "SECRET_KEY=mine\n"


def test_settings_that_stop_every_other_command_do_not_stop_this_one(installed):
    (installed / ".env").write_text("SECRET_KEY=short\nARI_NODES=nonsense\n")
    assert init(installed, "--no-input", "--force").returncode == 0
    assert read(installed).returncode == 0


def test_it_asks_and_asks_again_where_the_answer_would_stop_the_start(installed):
    answers = "\n".join(
        [
            "PBX 1",
            "pbx-1",
            "http://192.0.2.7:8089",
            "mysql://nobody",
            "postgres://ringmaster:p%40ss@127.0.0.1/ringmaster",
            "redis://:p w@127.0.0.1",
            "redis://ringmaster:secret@127.0.0.1:6379/2",
            "*",
            "pbx.example",
            "",
        ]
    )
    done = init(installed, answers=answers)

    assert done.returncode == 0, done.stderr
    complaints = done.stderr.splitlines()
    assert [line.split()[0] for line in complaints] == [
        "Entry",
        "DATABASE_URL",
        "REDIS_URL",
        "ALLOWED_HOSTS",
    ]
    assert read(installed).stdout.startswith(
        "redis://ringmaster:secret@127.0.0.1:6379/2 pbx.example pbx-1 http://192.0.2.7:8089 "
    )
    assert "permit = <address of Ringmaster's machine>" in done.stdout


def test_with_nobody_to_ask_it_says_so_and_writes_nothing(installed):
    done = init(installed)
    assert done.returncode == 1
    assert "--no-input" in done.stderr
    assert not (installed / ".env").exists()


def test_addresses_with_passwords_are_taken_from_the_environment(installed):
    url = "postgres://ringmaster:secret@db.example/ringmaster"
    assert init(installed, "--no-input", DATABASE_URL=url).returncode == 0
    assert f"DATABASE_URL={url}\n" in (installed / ".env").read_text()


def test_a_folder_for_what_is_written_holds_all_of_it(installed):
    init(installed, "--no-input", "--state-folder", "/var/lib/ringmaster")
    lines = (installed / ".env").read_text().splitlines()
    assert "DATABASE_URL=sqlite:////var/lib/ringmaster/ringmaster.sqlite3" in lines
    assert "EXPORT_FOLDER=/var/lib/ringmaster/exports" in lines
    assert "ARCHIVE_FOLDER=/var/lib/ringmaster/archive" in lines


def test_a_wrong_option_is_a_sentence_and_writes_nothing(installed):
    done = init(installed, "--no-input", "--redis-url", "http://127.0.0.1")
    assert done.returncode == 1
    assert "REDIS_URL" in done.stderr
    assert "Nothing has been written." in done.stderr
    assert not (installed / ".env").exists()


def test_where_it_may_not_write_it_says_so(installed):
    done = init(installed, "--no-input", "--file", str(installed / "missing" / ".env"))
    assert done.returncode == 1
    assert "--file PATH" in done.stderr


@pytest.mark.parametrize("file", ["ari.conf", "http.conf", "extensions.conf"])
def test_what_is_told_for_asterisk_is_what_the_sample_says(file):
    told = first_settings.asterisk_files(SAMPLES, Choices(), password="change-me")[file]

    lines = told.replace("bindport = 80\n", "bindport = 8088\n").splitlines()
    assert len(lines) > 5
    assert set(filter(None, lines)) <= set(SAMPLES[file].splitlines())
    assert ";" not in told


def test_an_asterisk_with_tls_is_told_its_certificate_and_keeps_the_rest_on_loopback():
    choices = Choices(ari_address="https://pbx1.example:8089")
    told = first_settings.asterisk_files(SAMPLES, choices, password="secret")["http.conf"]

    assert "bindaddr = 127.0.0.1" in told
    assert "tlsenable = yes" in told
    assert "tlsbindaddr = <address that only Ringmaster reaches>:8089" in told


@pytest.mark.parametrize("redis", ["redis://:p w@h", "redis://:p'w@h", "redis://:p#w@h"])
def test_what_readers_of_env_files_take_differently_is_refused(redis):
    with pytest.raises(ImproperlyConfigured, match=r"REDIS_URL holds .* percent-encoded"):
        first_settings.checked(Choices(redis_url=redis), "secret")


def test_any_password_comes_out_of_the_file_as_it_went_in():
    password = "p%,@/:?#ä"
    text = first_settings.env_file(Choices(), secret_key="k", password=password)
    (line,) = [line for line in text.splitlines() if line.startswith("ARI_NODES=")]
    assert environment.ari_nodes(line.removeprefix("ARI_NODES="))["pbx1"].password == password


def test_an_ari_address_with_a_user_is_refused():
    with pytest.raises(ImproperlyConfigured, match="Leave both out"):
        first_settings.checked(Choices(ari_address="http://u:p@127.0.0.1:8088"), "secret")
