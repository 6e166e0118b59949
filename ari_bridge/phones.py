"""The caller's channel of an ordered call, as Asterisk tells of it.

A phone is created and then dialled, so it is in Stasis from the start, while nobody is there yet.
To its call the caller has entered once the phone is answered. One that is not answered has nothing
to leave: its ChannelDestroyed tells why.
"""

from collections.abc import Mapping
from typing import Any

from calls import ids

SILENT = "Local/silent@ringmaster"
"""A channel that is made and never dialled: its other half runs no dialplan. It stands in the place
of a caller where nobody calls, and is there at once."""


def is_unanswered(channel: Mapping[str, Any]) -> bool:
    """Whether it is a phone that is called for an order, and nobody is there yet."""
    return (
        ids.is_ordered(channel["id"])
        and channel["state"] != "Up"
        and not str(channel["name"]).startswith(SILENT)
    )
