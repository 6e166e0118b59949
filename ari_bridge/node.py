"""One Asterisk node as the settings name it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AriNode:
    """How to reach the ARI of one Asterisk.

    ``name`` is the node's name in call ids (``[a-z0-9-]+``), ``url`` the root of its HTTP server
    (``http://host:8088``, no path, no user in it), ``user`` and ``password`` as in ``ari.conf``.
    """

    name: str
    url: str
    user: str
    password: str = field(repr=False)
