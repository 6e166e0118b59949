"""One Asterisk node as the settings name it."""

import ssl
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class AriNode:
    """How to reach the ARI of one Asterisk.

    ``name`` is the node's name in call ids (``[a-z0-9-]+``), ``url`` the root of its HTTP server
    (``http://host:8088``, no path, no user in it), ``user`` and ``password`` as in ``ari.conf``.
    ``ca_file`` names certificates of authorities that are trusted beside the system's.
    """

    name: str
    url: str
    user: str
    password: str = field(repr=False)
    ca_file: str = ""

    @property
    def tls(self) -> ssl.SSLContext | bool:
        """What aiohttp is to check of the node's certificate: always its name and its authority."""
        return _context(self.ca_file) if self.ca_file else True


@lru_cache
def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context
