"""A private authority and certificates by it, made for one test or one server."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Files of a private authority and of a server's certificate for 127.0.0.1 by it."""

    ca: str
    cert: str
    key: str


def make(folder: Path, *names: str) -> Certificates:
    """A new authority, and a certificate by it for these names."""
    folder.mkdir(exist_ok=True)
    authority = trustme.CA()
    server = authority.issue_cert(*names)
    made = Certificates(*(str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem")))
    authority.cert_pem.write_to_path(made.ca)
    for pem in server.cert_chain_pems:
        pem.write_to_path(made.cert, append=True)
    server.private_key_pem.write_to_path(made.key)
    Path(made.key).chmod(0o600)
    return made
