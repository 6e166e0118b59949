"""TLS towards Redis, RabbitMQ, PostgreSQL and Asterisk: always with a look at the certificate.

One setting, TLS_CA_FILE, names the certificates of a private authority for all of them. Without it
the system's authorities are trusted.
"""

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.core.exceptions import ImproperlyConfigured


def ca_file(path: str) -> str:
    """Accept the path of a file of PEM certificates, or nothing."""
    if not path:
        return ""
    try:
        ssl.create_default_context().load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise ImproperlyConfigured(
            f"TLS_CA_FILE is {path!r}, which holds no certificates that can be read ({error}). "
            "Name a file in PEM form: TLS_CA_FILE=/etc/ringmaster/ca.pem."
        ) from None
    return path


def redis_url(url: str, ca: str) -> str:
    """The address with what redis-py and kombu need to be told.

    kombu takes a ``rediss://`` without these words for one whose certificate nobody looks at, and
    tells the password to whoever answers.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return url
    query = dict(parse_qsl(parts.query))
    query |= {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
    if ca:
        query.setdefault("ssl_ca_certs", ca)
    return parts._replace(query=urlencode(query)).geturl()


def amqp_options(url: str, ca: str) -> dict[str, Any] | None:
    """Celery's broker_use_ssl for an ``amqps://`` address; None for any other."""
    parts = urlsplit(url)
    if parts.scheme != "amqps":
        return None
    # py-amqp loads the system's authorities where none is named, and only then.
    options = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}
    return options | {"ca_certs": ca} if ca else options


def postgresql_options(options: dict[str, Any], ca: str) -> dict[str, Any]:
    """The options of the address, with the authority where it asks for the certificate."""
    if ca and str(options.get("sslmode", "")).startswith("verify-"):
        return {"sslrootcert": ca} | options
    return options
