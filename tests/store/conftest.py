"""The counters and the office that the rooms above bring up, for the stores themselves."""

from tests.engine.conftest import mailboxes, make_office, office
from tests.limits.conftest import limits, make_limits

__all__ = ["limits", "mailboxes", "make_limits", "make_office", "office"]
