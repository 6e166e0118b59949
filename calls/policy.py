"""The settings' rules for all calls."""

from django.conf import settings

from calls.routing.policy import Policy


def policy() -> Policy:
    """The rules as the settings say them now."""
    return Policy(settings.DIAL_TECHNOLOGIES, settings.LOCAL_CONTEXTS, settings.MAX_HOPS)
