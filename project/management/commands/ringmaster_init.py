"""manage.py ringmaster_init: the first settings, safely into .env, and what Asterisk needs."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from project import first_settings
from project.first_settings import Choices

CHECKOUT = Path(__file__).resolve().parents[3]
"""Not from the settings: this command runs before there are any."""
ASKED = {
    "node": "A name for the Asterisk, of a-z, 0-9 and '-'",
    "ari_address": "Where its HTTP server is reached",
    "database_url": "The database (postgres://user:password@host/name in production)",
    "redis_url": "The Redis",
    "hosts": "Names under which the admin is reached, parted by commas",
}
FROM_ENVIRONMENT = {
    "DATABASE_URL": "database_url",
    "REDIS_URL": "redis_url",
    "ALLOWED_HOSTS": "hosts",
}
"""An option is seen by everybody who lists processes, a password in it too; these are not."""


class Command(BaseCommand):
    help = (
        "Ask for the first settings, write them into .env for its owner alone, with random "
        "secrets, and show what to put into Asterisk's files and what to do next. Needs no "
        "settings, no database and no Redis. Changes no file that is there, unless forced to."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", type=Path, default=CHECKOUT / ".env", help="where to (.env)")
        parser.add_argument("--force", action="store_true", help="in place of one that is there")
        parser.add_argument("--no-input", action="store_true", help="ask nothing")
        parser.add_argument("--node", help="name of the Asterisk (pbx1)")
        parser.add_argument("--ari-address", metavar="URL", help="its HTTP server")
        parser.add_argument("--database-url", metavar="URL", help="also: DATABASE_URL=… before")
        parser.add_argument("--redis-url", metavar="URL", help="also: REDIS_URL=… before")
        parser.add_argument("--hosts", metavar="NAMES", help="names of the admin")
        parser.add_argument("--https", action="store_true", help="a proxy in front speaks TLS")
        parser.add_argument(
            "--state-folder", metavar="PATH", default="", help="for SQLite, exports and archives"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"].resolve()
        if file.exists() and not options["force"]:
            raise CommandError(
                f"{file} is there, and nothing has been changed. With --force it is kept as "
                f"{file.name}.old and a new one written, whose new SECRET_KEY signs everybody out."
            )
        password = secrets.token_urlsafe(24)
        choices = self._chosen(options, password)
        text = first_settings.env_file(
            choices,
            secret_key=secrets.token_urlsafe(first_settings.SECRET_CHARACTERS),
            password=password,
        )
        _write(file, text, replacing=options["force"])
        self._tell(file, choices, password)

    def _chosen(self, options: dict[str, Any], password: str) -> Choices:
        given: dict[str, Any] = {
            name: os.environ[setting]
            for setting, name in FROM_ENVIRONMENT.items()
            if os.environ.get(setting)
        }
        names = {field.name for field in fields(Choices)}
        given |= {name: options[name] for name in names if options.get(name)}
        state = options["state_folder"] or CHECKOUT
        choices = Choices(database_url=f"sqlite:///{state}/ringmaster.sqlite3")
        choices = replace(choices, **given)
        if not options["no_input"]:
            for name, question in ASKED.items():
                if name not in given:
                    choices = self._asked(choices, name, question, password)
        try:
            return first_settings.checked(choices, password)
        except ImproperlyConfigured as error:
            raise CommandError(f"{error} Nothing has been written.") from error

    def _asked(self, choices: Choices, name: str, question: str, password: str) -> Choices:
        """Ask until the answer is one that the next start takes."""
        usual = str(getattr(choices, name))
        while True:
            answer = _answer(f"{question} [{usual}]: ").strip() or usual
            try:
                return first_settings.checked(_with(choices, name, answer), password)
            except ImproperlyConfigured as error:
                self.stderr.write(f"{error}")

    def _tell(self, file: Path, choices: Choices, password: str) -> None:
        samples = {
            path.name: path.read_text() for path in (CHECKOUT / "asterisk" / "etc").glob("*.conf")
        }
        say: Callable[[str], None] = self.stdout.write
        say(f"Wrote {file}, which its owner alone can read.\n")
        say("Put these lines into Asterisk's files; asterisk/etc has the reason of each.")
        for name, lines in first_settings.asterisk_files(
            samples, choices, password=password
        ).items():
            say(f"\n; ---- /etc/asterisk/{name} ----\n{lines}")
        say(_NEXT)


_NEXT = """
Next:
  1. Restart Asterisk, so that it reads them: asterisk -rx 'core restart now'
  2. python manage.py migrate
  3. python manage.py createsuperuser
  4. Start the processes: honcho start, or systemctl start ringmaster.target
  5. python manage.py ari_doctor, which says in sentences what is still wrong
"""


def _with(choices: Choices, name: str, answer: str) -> Choices:
    changes: dict[str, Any] = {name: answer}
    return replace(choices, **changes)


def _answer(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        raise CommandError(
            "There is nobody to ask. Give --no-input and what differs from the defaults; nothing "
            "has been written."
        ) from None


def _write(file: Path, text: str, *, replacing: bool) -> None:
    """All or nothing, at no moment readable by others, and never over a file unasked."""
    new = file.with_name(f"{file.name}.new")
    try:
        with suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if replacing and file.exists():
            old = file.with_name(f"{file.name}.old")
            file.replace(old)
            old.chmod(0o600)
        os.link(new, file)
        new.unlink()
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise CommandError(
            f"{file} could not be written ({error.strerror}). Name a place where you may write: "
            "--file PATH."
        ) from error
