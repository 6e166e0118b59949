"""The first settings of an installation, as text: ``.env``, and what Asterisk's files need. Pure.

``manage.py ringmaster_init`` asks for them and writes them. What it says is read by
``project/environment.py``, so that nothing is written that would stop the next start.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit, urlunsplit

from django.core.exceptions import ImproperlyConfigured

from project import environment

ARI_USER = "ringmaster"
SECRET_CHARACTERS = 50
"""Bytes of randomness in a key, which become 67 characters: Django asks for 50."""
_SECTION = re.compile(r"^\[([^\]]+)\]", re.M)
_UNSAFE = re.compile(r"[\s'\"\\#$]")
"""What the readers of ``.env`` (django-environ, systemd, containers) do not all take alike."""


@dataclass(frozen=True)
class Choices:
    """What there is to choose before the first start."""

    node: str = "pbx1"
    ari_address: str = "http://127.0.0.1:8088"
    """Where Asterisk's HTTP server is reached, without user and password."""
    database_url: str = "sqlite:///ringmaster.sqlite3"
    redis_url: str = "redis://127.0.0.1:6379/0"
    hosts: str = "localhost,127.0.0.1"
    """Under which names the admin is reached, parted by commas."""
    https: bool = False
    state_folder: str = ""
    """Where exports and archives are written; empty: beside manage.py."""

    @property
    def asterisk_is_here(self) -> bool:
        """Whether Asterisk runs on this machine, as far as its address tells."""
        host = urlsplit(self.ari_address).hostname or ""
        return host == "localhost" or host == "::1" or host.startswith("127.")


def checked(choices: Choices, password: str) -> Choices:
    """The choices in the form in which they are written.

    Raises ImproperlyConfigured, a sentence that names the setting, at the first that the next
    start would refuse. ``password`` is the ARI user's.
    """
    for name, check in _CHECKS.items():
        value = str(getattr(choices, name))
        if found := _UNSAFE.search(value):
            raise ImproperlyConfigured(
                f"{_SETTING[name]} holds {found[0]!r}. Write such a character percent-encoded "
                f"(%{ord(found[0]):02X})."
            )
        check(value)
    environment.ari_nodes(_ari_node(choices, password))
    return replace(choices, ari_address=choices.ari_address.rstrip("/"))


def _hosts(text: str) -> object:
    return environment.allowed_hosts(text.split(","))


def _address(text: str) -> None:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImproperlyConfigured(
            f"{text!r} is no address of Asterisk's HTTP server, such as http://127.0.0.1:8088."
        )
    if parts.username or parts.password:
        raise ImproperlyConfigured(
            "The address of Asterisk's HTTP server holds a user or a password. Leave both out: a "
            "password is made, and told for ari.conf."
        )


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "ari_address": _address,
    "database_url": environment.database,
    "redis_url": lambda text: environment.redis_url("REDIS_URL", text),
    "hosts": _hosts,
}
_SETTING = {
    "ari_address": "The address in ARI_NODES",
    "database_url": "DATABASE_URL",
    "redis_url": "REDIS_URL",
    "hosts": "ALLOWED_HOSTS",
}


def _ari_node(choices: Choices, password: str) -> str:
    parts = urlsplit(choices.ari_address)
    netloc = f"{ARI_USER}:{quote(password, safe='')}@{parts.netloc}"
    address = urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))
    return f"{choices.node}={address}"


def env_file(choices: Choices, *, secret_key: str, password: str) -> str:
    """The text of ``.env``: one setting a line, for django-environ and systemd alike."""
    lines = [
        "# Settings of Ringmaster; README.md has them all. Holds secrets: its owner's alone.",
        f"SECRET_KEY={secret_key}",
        f"DATABASE_URL={choices.database_url}",
        f"REDIS_URL={choices.redis_url}",
        f"ARI_NODES={_ari_node(choices, password)}",
        f"ALLOWED_HOSTS={choices.hosts}",
    ]
    if choices.https:
        lines.append("HTTPS=true")
    if choices.state_folder:
        lines.append(f"EXPORT_FOLDER={choices.state_folder}/exports")
        lines.append(f"ARCHIVE_FOLDER={choices.state_folder}/archive")
    return "\n".join(lines) + "\n"


def asterisk_files(
    samples: Mapping[str, str], choices: Choices, *, password: str
) -> dict[str, str]:
    """What to put into which of Asterisk's files: name of the file → its lines.

    ``samples`` are the files of ``asterisk/etc``, which have the reason of each line beside it.
    """
    ari = _sections(samples["ari.conf"], "general", ARI_USER)
    http = _http_conf(samples["http.conf"], choices)
    if not choices.asterisk_is_here:
        ari = _set(ari, "permit", "<address of Ringmaster's machine>")
    return {
        "ari.conf": _set(ari, "password", password),
        "http.conf": http,
        "extensions.conf": _sections(samples["extensions.conf"], "globals", "from-callers"),
    }


def _http_conf(sample: str, choices: Choices) -> str:
    address = urlsplit(choices.ari_address)
    bind = "127.0.0.1" if choices.asterisk_is_here else "<address that only Ringmaster reaches>"
    if address.scheme == "https":
        # The sample has TLS as comments; what is not encrypted stays on loopback.
        sample = re.sub(r"^;(tls\w+ = )", r"\1", sample, flags=re.M)
        http = _sections(sample, "general")
        return _set(http, "tlsbindaddr", f"{bind}:{address.port or 443}")
    http = _set(_sections(sample, "general"), "bindaddr", bind)
    return _set(http, "bindport", str(address.port or 80))


def _set(lines: str, option: str, value: str) -> str:
    return re.sub(rf"^{option} = .*$", lambda _: f"{option} = {value}", lines, flags=re.M)


def _sections(text: str, *names: str) -> str:
    """Sections of a file of Asterisk's, without the comments."""
    heads = list(_SECTION.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    found = {head[1]: text[head.start() : end] for head, end in zip(heads, ends, strict=True)}
    return "\n\n".join(_without_comments(found[name]) for name in names)


def _without_comments(section: str) -> str:
    lines = section.splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.startswith(";"))
