"""Reads settings that are more than a word, and refuses wrong ones with a sentence.

Pure: text in, value out. Every function raises ``ImproperlyConfigured`` with the name of the
setting, what is wrong with it and an example; a password is never part of the sentence.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from ari_bridge.node import AriNode
from cdr.patience import STATEMENT_S
from cdr.sip_trace import SipTrace
from project import tls

ARI_NODES_EXAMPLE = "ARI_NODES=pbx1=http://ringmaster:secret@127.0.0.1:8088"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
_NODE_NAME = re.compile(r"[a-z0-9-]+")
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]+")
_APP_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_TECHNOLOGY = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_SHORT_CODE = re.compile(r"[0-9*#A-Dx]{1,15}")
_ALLOWED = re.compile(r"own|[1-9][0-9]{0,14}")
_CONTEXT = re.compile(r"[A-Za-z0-9_.-]+")
_DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_BROKER_SCHEMES = ("redis", "rediss", "amqp", "amqps")
_DATABASE_SCHEMES = ("sqlite", "postgres", "postgresql", "psql", "pgsql")
_DATABASE_EXAMPLE = "DATABASE_URL=postgres://user:password@127.0.0.1:5432/ringmaster"
_MAKE_A_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(50))"'
_SHORTEST_KEY, _FEWEST_CHARACTERS = 50, 5
"""What Django's own deployment check (security.W009) asks of a key."""


_SHORTEST_TOKEN = 20


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


def choice(name: str, text: str, allowed: tuple[str, ...]) -> str:
    """Accept one of the words that are allowed, in any case."""
    word = text.strip().lower()
    if word not in allowed:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be one of {', '.join(allowed)}: {name}={allowed[0]}."
        )
    return word


def integer(name: str, text: str, *, minimum: int, maximum: int) -> int:
    """Read a whole number from ``minimum`` to ``maximum``, both included."""
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be a whole number from {minimum} to {maximum}."
        )
    return number


def secret_key(text: str, *, debug: bool) -> str:
    """Return the key that signs sessions; only a debug server may do without one of its own."""
    if not text and debug:
        return "insecure-and-for-debug-only-" + "x" * 40
    if not text:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set, so sessions could not be signed. Put a long random text into "
            f"the environment or into .env, for instance the output of: {_MAKE_A_KEY}. "
            "DEBUG=true does without, for development only."
        )
    if len(text) < _SHORTEST_KEY or len(set(text)) < _FEWEST_CHARACTERS:
        raise ImproperlyConfigured(
            f"SECRET_KEY has {len(text)} characters, {len(set(text))} different ones, so whoever "
            f"guesses it signs in as anybody. It needs {_SHORTEST_KEY} or more, at random: "
            f"{_MAKE_A_KEY}."
        )
    return text


def allowed_hosts(names: Sequence[str]) -> list[str]:
    """Accept host names; ``*``, which serves whatever a request claims, is none."""
    hosts = [name.strip() for name in names if name.strip()]
    if any("*" in host or host == "." for host in hosts):
        raise ImproperlyConfigured(
            "ALLOWED_HOSTS serves every host name, so a forged one would get into redirects and "
            "links. Name those under which the admin is reached: ALLOWED_HOSTS=pbx.example."
        )
    return hosts


def debug(text: str, *, bind: str, command_line: Sequence[str]) -> bool:
    """Read DEBUG, which is refused where others than this machine reach the admin.

    ``bind`` is WEB_BIND; ``command_line`` tells the address that ``runserver`` is given.
    """
    if not boolean("DEBUG", text):
        return False
    for where in (bind, _runserver_address(command_line)):
        if not _is_loopback(where):
            raise ImproperlyConfigured(
                f"DEBUG=true on {where!r} would show code and data to everybody who reaches that "
                "address. Set DEBUG=false, or serve on loopback only: WEB_BIND=127.0.0.1:8000."
            )
    return True


def _runserver_address(command_line: Sequence[str]) -> str:
    if "runserver" not in command_line[1:2]:
        return ""
    given = [word for word in command_line[2:] if not word.startswith("-")]
    address = given[0] if given else ""
    # A port alone is on loopback; "0" is Django's word for 0.0.0.0.
    return "" if address.isdecimal() else address


def _is_loopback(bind: str) -> bool:
    """Whether ``host:port`` is reached from this machine only; empty is the default, which is."""
    if not bind or bind.startswith("unix:"):
        return True
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def redis_url(name: str, text: str) -> str:
    """Accept ``redis://`` and ``rediss://`` addresses whose path, if any, is a database number."""
    _no_sentinel(name, text)
    parts = _split(name, text, example=f"{name}=redis://127.0.0.1:6379/0")
    database = parts.path.strip("/")
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} must begin with redis:// or rediss:// (TLS) and name a host, "
            f"for instance {name}=redis://127.0.0.1:6379/0."
        )
    if database and not database.isdecimal():
        # Not echoed: where a password holds a "/", its end stands here.
        raise ImproperlyConfigured(
            f"{name} has something behind host and port that is no number, but a Redis database is "
            f"one, for instance {name}=redis://127.0.0.1:6379/0."
        )
    wanted = parse_qs(parts.query).get("ssl_cert_reqs", ["required"])[-1].lower()
    if parts.scheme == "rediss" and wanted not in ("required", "cert_required"):
        raise ImproperlyConfigured(
            f"{name} asks for TLS without looking at the server's certificate (ssl_cert_reqs), "
            "which tells the password to anybody in between. Leave ssl_cert_reqs out, and name a "
            "private CA's certificate in TLS_CA_FILE."
        )
    return text


def _no_sentinel(name: str, text: str) -> None:
    """Celery's users know ``sentinel://``, so it is refused with what to do instead.

    Before the address is read: it may name several hosts, and is no URL then.
    """
    if text.strip().lower().startswith(("sentinel:", "redis+sentinel:", "rediss+sentinel:")):
        raise ImproperlyConfigured(
            f"{name} is asked of Sentinel, but has to name one address that follows the primary: "
            "HAProxy's before it (docs/operations.md, A Redis that fails over), for instance "
            f"{name}=redis://127.0.0.1:6379/0."
        )


_LOOPBACK = ("127.", "localhost", "::1")


def unlocked_redis(urls: Mapping[str, str]) -> list[str]:
    """Sentences about Redis servers that others can reach and that ask for no password.

    ``urls``: the setting's name and its address; one server is complained of once.
    """
    sentences: dict[str, str] = {}
    for name, url in urls.items():
        parts = urlsplit(url)
        if not parts.scheme.startswith("redis") or parts.password:
            continue
        if not (parts.hostname or "").startswith(_LOOPBACK):
            sentences.setdefault(
                f"{parts.hostname}:{parts.port}",
                f"{name} names a Redis off loopback without a password: WHOEVER REACHES IT CAN "
                "PLACE CALLS AT YOUR COST. Give it a user and a password, as in docs/redis: "
                f"{name}=redis://ringmaster:<password>@host:6379/0.",
            )
    return list(sentences.values())


def broker_url(name: str, text: str) -> str:
    """Accept the two brokers Ringmaster is made for: Redis and RabbitMQ."""
    _no_sentinel(name, text)
    parts = _split(name, text, example=f"{name}=amqp://user:password@127.0.0.1:5672//")
    if parts.scheme not in _BROKER_SCHEMES or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} must name a Redis (redis:// or rediss://) or a RabbitMQ (amqp:// or "
            f"amqps://) and its host, for instance {name}=amqp://user:password@127.0.0.1:5672//."
        )
    return redis_url(name, text) if parts.scheme.startswith("redis") else text


# A host that vanishes is noticed within ten seconds, by what it does not acknowledge and by what it
# does not answer; TCP by itself waits for a quarter of an hour, or for ever. What the server takes
# and does not answer, cdr.patience gives up.
_POSTGRES_OPTIONS = {
    "connect_timeout": 2,
    "keepalives": 1,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
    "options": (
        f"-c statement_timeout={STATEMENT_S * 1000} -c idle_in_transaction_session_timeout=600000"
    ),
}


def database(address: str, ca_file: str = "", *, pooled: bool = False) -> dict[str, Any]:
    """Read DATABASE_URL, and complete it with what Ringmaster needs of either database.

    ``pooled``: between us and PostgreSQL a pooler such as PgBouncer hands each transaction another
    connection. It refuses start parameters, and what one transaction leaves of its session (a
    cursor, a prepared statement, a setting) is found by somebody else's.
    """
    scheme = address.partition("://")[0]
    if scheme not in _DATABASE_SCHEMES:
        # Before django-environ sees it, which would warn with all it has read.
        raise ImproperlyConfigured(
            "DATABASE_URL must name SQLite or PostgreSQL, for instance "
            "DATABASE_URL=sqlite:////var/lib/ringmaster/ringmaster.sqlite3 or "
            f"{_DATABASE_EXAMPLE}."
        )
    if scheme != "sqlite":
        _split("DATABASE_URL", address, example=_DATABASE_EXAMPLE)
    settings = dict(environ.Env.db_url_config(address))
    options = dict(settings.get("OPTIONS") or {})
    if scheme == "sqlite":
        settings["ENGINE"] = "project.sqlite3"
        # IMMEDIATE takes the write lock at BEGIN, where the busy timeout applies; a lock taken
        # later, after a read, fails at once with "database is locked".
        options.setdefault("transaction_mode", "IMMEDIATE")
        options.setdefault("timeout", 20)
        options.setdefault("init_command", "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
    else:
        options = tls.postgresql_options(options, ca_file)
        for name, value in _POSTGRES_OPTIONS.items():
            if not (pooled and name == "options"):
                options.setdefault(name, value)
        settings["DISABLE_SERVER_SIDE_CURSORS"] = pooled
        settings["CONN_MAX_AGE"] = 600
        settings["CONN_HEALTH_CHECKS"] = True
    settings["OPTIONS"] = options
    return settings


def one_of(name: str, text: str, words: Sequence[str]) -> str:
    """Accept one of these words, in any case."""
    word = text.strip().lower()
    if word not in words:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be one of {', '.join(words)}: {name}={words[0]}."
        )
    return word


def sip_trace(text: str) -> SipTrace:
    """Read whose SIP is put into traces: ``off``, ``all``, ``failed`` or ``accounts:code,code``."""
    word, colon, codes = text.strip().partition(":")
    accounts = frozenset(code.strip() for code in codes.split(",") if code.strip())
    if word == "accounts" and accounts:
        return SipTrace(accounts=accounts)
    if not colon and word in ("off", "all", "failed"):
        return SipTrace(everybody=word == "all", failed=word == "failed")
    raise ImproperlyConfigured(
        f"SIP_TRACE is {text!r}, but must be off, all, failed, or the codes of accounts: "
        "SIP_TRACE=accounts:acme,beta."
    )


def loopback_address(name: str, text: str) -> tuple[str, int]:
    """Read ``127.0.0.1:9060``: what comes in there is believed, so nobody else may send to it."""
    host, _, port = text.strip().rpartition(":")
    try:
        number = int(port)
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        number, loopback = 0, False
    if not loopback or not 1 <= number <= 65535:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be an address of this machine alone and a port: "
            f"{name}=127.0.0.1:9060."
        )
    return host.strip("[]"), number


def address(name: str, text: str, *, example: str) -> str:
    """Accept ``host:port`` to listen at."""
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be an address and a port: {name}={example}."
        )
    return text.strip()


def token(name: str, text: str) -> str:
    """Accept a secret that is sent in a header, or none; a short one would be guessed."""
    if text and (len(text) < _SHORTEST_TOKEN or not _TOKEN.fullmatch(text)):
        raise ImproperlyConfigured(
            f"{name} has {len(text)} characters; it needs {_SHORTEST_TOKEN} or more, of letters, "
            "digits, '_', '.', '~', '+', '/', '=' and '-': "
            'python -c "import secrets; print(secrets.token_urlsafe(32))".'
        )
    return text


def networks(name: str, text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Read networks, parted by commas: ``10.1.2.0/24,fd00::/8``; a single address is one."""
    found = []
    for word in (part.strip() for part in text.split(",")):
        try:
            found += [ipaddress.ip_network(word)] if word else []
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} names {word!r}, which is no network ({error}); they are parted by commas: "
                f"{name}=10.1.2.0/24."
            ) from None
    return tuple(found)


def pauses(name: str, text: str) -> tuple[int, ...]:
    """Read seconds, parted by commas: ``5,30,120``."""
    words = [word.strip() for word in text.split(",")]
    numbers = tuple(int(word) for word in words if word.isdecimal() and len(word) < 7)
    if len(numbers) != len(words) or len(words) > 50 or sum(numbers) > 30 * 86_400:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be up to 50 whole numbers of seconds, of 30 days at "
            f"most all in all, parted by commas: {name}=5,30,120."
        )
    return numbers


def web_address(name: str, text: str) -> str:
    """Accept an address that begins with http:// or https:// and names a host, or none at all."""
    if not text:
        return ""
    parts = _split(name, text, example=f"{name}=http://127.0.0.1:4318/v1/traces")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} must begin with http:// or https:// and name a host, for instance "
            f"{name}=http://127.0.0.1:4318/v1/traces."
        )
    return text


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


def technologies(text: str) -> frozenset[str]:
    """Read the channel technologies that dial strings may use, parted by commas."""
    names = _words("DIAL_TECHNOLOGIES", text, _TECHNOLOGY, "DIAL_TECHNOLOGIES=PJSIP")
    if any(name.lower() == "local" for name in names):
        raise ImproperlyConfigured(
            "DIAL_TECHNOLOGIES names Local, which would let a trunk enter any context of the "
            "dialplan. Name the contexts instead: LOCAL_CONTEXTS=monkeys."
        )
    return names


def local_contexts(text: str) -> frozenset[str]:
    """Read the dialplan contexts that Local dial strings may enter, parted by commas."""
    return _words("LOCAL_CONTEXTS", text, _CONTEXT, "LOCAL_CONTEXTS=monkeys")


def short_codes(text: str) -> str:
    """Read the short numbers of new accounts, parted by spaces: ``112 116xxx``."""
    return _spaced("SHORT_CODES", text, _SHORT_CODE, "SHORT_CODES=112 116xxx")


def allowed_prefixes(text: str) -> str:
    """Read the prefixes that new accounts may call, parted by spaces; ``own`` is their country."""
    return _spaced("NEW_ACCOUNT_PREFIXES", text, _ALLOWED, "NEW_ACCOUNT_PREFIXES=own 33")


def _spaced(name: str, text: str, pattern: re.Pattern[str], example: str) -> str:
    words = text.split()
    for word in words:
        if not pattern.fullmatch(word):
            raise ImproperlyConfigured(
                f"{name} names {word!r}, which is none; they are parted by spaces: {example}."
            )
    return " ".join(words)


def _words(name: str, text: str, pattern: re.Pattern[str], example: str) -> frozenset[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if not pattern.fullmatch(word):
            raise ImproperlyConfigured(
                f"{name} names {word!r}, which is none; names are parted by commas: {example}."
            )
    return frozenset(words)


def log_level(text: str) -> str:
    """Accept one of Python's log levels, in any case."""
    level = text.strip().upper()
    if level not in _LOG_LEVELS:
        raise ImproperlyConfigured(
            f"LOG_LEVEL is {text!r}, but must be one of {', '.join(_LOG_LEVELS)}: LOG_LEVEL=INFO."
        )
    return level


def ari_nodes(text: str, ca_file: str = "") -> dict[str, AriNode]:
    """Read ``name=http://user:password@host:8088`` entries, parted by commas.

    User and password may be percent-encoded (a comma as ``%2C``, an ``@`` as ``%40``). No entry
    at all gives an empty dict: Django runs without a node, the ARI bridge refuses to.
    """
    nodes: dict[str, AriNode] = {}
    for position, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        if not entry:
            continue
        node = replace(_ari_node(entry, position), ca_file=ca_file)
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
    if parts.netloc and "@" in parts.path + parts.query + parts.fragment:
        # A password with a "/" in it looks like a host and a port to urlsplit.
        raise ImproperlyConfigured(
            f"{what} has an '@' behind its host. A '/', '?', '#' or '@' in a password is "
            f"percent-encoded (%2F, %3F, %23, %40). Example: {example}"
        )
    return parts
