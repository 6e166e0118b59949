"""Errors of the call records."""


class CdrError(Exception):
    """A call record cannot be read or written; the message is a sentence that says why."""


def first_line(error: BaseException, otherwise: str = "") -> str:
    """What an error says, without what databases add below and a full stop.

    An error that says nothing is told by ``otherwise``, or by its class.
    """
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return said or otherwise or type(error).__name__


def database_away(error: BaseException) -> str:
    """What a command says whose database fails it, and what to do."""
    return (
        f"The database (DATABASE_URL) does not answer: {first_line(error)}. Check that it is up "
        "and that `manage.py migrate` has been run."
    )
