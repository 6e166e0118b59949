"""Errors of the call records."""


class CdrError(Exception):
    """A call record cannot be read or written; the message is a sentence that says why."""
