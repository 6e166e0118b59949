"""Reads settings that are more than a word, and refuses wrong ones with a sentence.

Pure: text in, value out. Every function raises ``ImproperlyConfigured`` with the name of the
setting, what is wrong with it and an example; a password is never part of the sentence.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from ari_bridge.node import AriNode

ARI_NODES_EXAMPLE = "ARI_NODES=pbx1=http://ringmaster:secret@127.0.0.1:8088"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
_NODE_NAME = re.compile(r"[a-z0-9-]+")
_APP_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_BROKER_SCHEMES = ("redis", "rediss", "amqp", "amqps")
_DATABASE_ENGINES = ("django.db.backends.sqlite3", "django.db.backends.postgresql")


def boolean(name: str, text: str) -> bool:
    """Read yes or no; a word that is neither is refused, not taken for no."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ImproperlyConfigured(
        f"{name} is {text!r}, which is neither yes nor no. Write {name}=true or {name}=false."
    )


def integer(name: str, text: str, *, minimum: int, maximum: int) -> int:
    """Read a whole number from ``minimum`` to ``maximum``, both included."""
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be a whole number from {minimum} to {maximum}, "
            f"for instance {name}={max(minimum, min(maximum, 7200))}."
        )
    return number


def secret_key(text: str, *, debug: bool) -> str:
    """Return the key that signs sessions; only a debug server may do without one of its own."""
    if text:
        return text
    if debug:
        return "insecure-and-for-debug-only-" + "x" * 40
    raise ImproperlyConfigured(
        "SECRET_KEY is not set, so sessions could not be signed. Put a long random text into "
        "the environment or into .env, for instance the output of: python -c "
        '"import secrets; print(secrets.token_urlsafe(50))". '
        "DEBUG=true does without, for development only."
    )


def redis_url(name: str, text: str) -> str:
    """Accept ``redis://`` and ``rediss://`` addresses whose path, if any, is a database number."""
    parts = _split(name, text, example=f"{name}=redis://127.0.0.1:6379/0")
    database = parts.path.strip("/")
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} must begin with redis:// or rediss:// (TLS) and name a host, "
            f"for instance {name}=redis://127.0.0.1:6379/0."
        )
    if database and not database.isdecimal():
        raise ImproperlyConfigured(
            f"{name} ends in /{database}, but a Redis database is a number, "
            f"for instance {name}=redis://127.0.0.1:6379/0."
        )
    return text


def broker_url(name: str, text: str) -> str:
    """Accept the two brokers Ringmaster is made for: Redis and RabbitMQ."""
    parts = _split(name, text, example=f"{name}=amqp://user:password@127.0.0.1:5672//")
    if parts.scheme not in _BROKER_SCHEMES or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} must name a Redis (redis:// or rediss://) or a RabbitMQ (amqp:// or "
            f"amqps://) and its host, for instance {name}=amqp://user:password@127.0.0.1:5672//."
        )
    return redis_url(name, text) if parts.scheme.startswith("redis") else text


def database(config: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the parsed DATABASE_URL with what Ringmaster needs of either database."""
    settings = dict(config)
    engine = settings.get("ENGINE")
    if engine not in _DATABASE_ENGINES:
        raise ImproperlyConfigured(
            "DATABASE_URL must name SQLite or PostgreSQL, for instance "
            "DATABASE_URL=sqlite:////var/lib/ringmaster/ringmaster.sqlite3 or "
            "DATABASE_URL=postgres://user:password@127.0.0.1:5432/ringmaster."
        )
    options = dict(settings.get("OPTIONS") or {})
    if engine == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at BEGIN, where the busy timeout applies; a lock taken
        # later, after a read, fails at once with "database is locked".
        options.setdefault("transaction_mode", "IMMEDIATE")
        options.setdefault("timeout", 20)
        options.setdefault("init_command", "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
    else:
        options.setdefault("connect_timeout", 2)
        settings["CONN_MAX_AGE"] = 600
        settings["CONN_HEALTH_CHECKS"] = True
    settings["OPTIONS"] = options
    return settings


def ari_app(text: str) -> str:
    """Accept a Stasis application's name that needs no quoting in a dialplan or an URL."""
    if not _APP_NAME.fullmatch(text):
        raise ImproperlyConfigured(
            f"ARI_APP is {text!r}, but may hold only letters, digits, '_', '.' and '-', "
            "as in Stasis(ringmaster): ARI_APP=ringmaster."
        )
    return text


def dotted_name(name: str, text: str) -> str:
    """Accept the dotted path of a class, ``package.module.Class``."""
    if not _DOTTED_NAME.fullmatch(text):
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be the dotted path of a class, "
            f"for instance {name}=ari_bridge.gateway.AriGateway."
        )
    return text


def log_level(text: str) -> str:
    """Accept one of Python's log levels, in any case."""
    level = text.strip().upper()
    if level not in _LOG_LEVELS:
        raise ImproperlyConfigured(
            f"LOG_LEVEL is {text!r}, but must be one of {', '.join(_LOG_LEVELS)}: LOG_LEVEL=INFO."
        )
    return level


def ari_nodes(text: str) -> dict[str, AriNode]:
    """Read ``name=http://user:password@host:8088`` entries, parted by commas.

    User and password may be percent-encoded (a comma as ``%2C``, an ``@`` as ``%40``). No entry
    at all gives an empty dict: Django runs without a node, the ARI bridge refuses to.
    """
    nodes: dict[str, AriNode] = {}
    for position, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        if not entry:
            continue
        node = _ari_node(entry, position)
        if node.name in nodes:
            raise ImproperlyConfigured(
                f"ARI_NODES names the node {node.name!r} twice; every node needs a name of its "
                f"own, as call ids begin with it. Example: {ARI_NODES_EXAMPLE}"
            )
        nodes[node.name] = node
    return nodes


def _ari_node(entry: str, position: int) -> AriNode:
    name, equals, address = entry.partition("=")
    if not equals or not _NODE_NAME.fullmatch(name):
        # What stands there is not echoed: where a comma stands in a password, it is half of it.
        raise ImproperlyConfigured(
            f"Entry {position} of ARI_NODES does not begin with a node's name and '=': the name "
            "is made of a-z, 0-9 and '-'. A comma in a password is written %2C. "
            f"Example: {ARI_NODES_EXAMPLE}"
        )
    parts = _split(f"ARI_NODES, node {name!r},", address, example=ARI_NODES_EXAMPLE)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImproperlyConfigured(
            f"ARI_NODES, node {name!r}, needs an address that begins with http:// or https:// "
            f"and names a host. Example: {ARI_NODES_EXAMPLE}"
        )
    if not parts.username or not parts.password:
        raise ImproperlyConfigured(
            f"ARI_NODES, node {name!r}, needs the user and the password from ari.conf before "
            f"the host. Example: {ARI_NODES_EXAMPLE}"
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ImproperlyConfigured(
            f"ARI_NODES, node {name!r}, has something behind host and port; '/ari' is added by "
            "Ringmaster. A '/', '?' or '#' in a password is percent-encoded (%2F, %3F, %23). "
            f"Example: {ARI_NODES_EXAMPLE}"
        )
    host = parts.netloc.rpartition("@")[2]
    return AriNode(
        name, f"{parts.scheme}://{host}", unquote(parts.username), unquote(parts.password)
    )


def _split(what: str, text: str, *, example: str) -> SplitResult:
    """Split an URL; ``urlsplit``'s own errors quote the text and with it the password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ImproperlyConfigured(
            f"{what} is not an address that can be read: its host or its port (1 to 65535) is "
            f"wrong, or a password in it needs percent-encoding. Example: {example}"
        )
    return parts
