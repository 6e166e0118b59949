"""Cells of a CSV file that harm nobody who opens it. Pure.

A spreadsheet runs a cell that begins with ``= + - @``, tab or carriage return as a formula, some
also where spaces or quotes come before, or where the sign is as wide as a Chinese one. Which text
begins a cell depends on what the spreadsheet splits at: for some it is the semicolon or the tab,
and some do not know that a quoted cell may hold a line break. So a ``'`` is put in front of what
begins so at the beginning of a cell and behind each of these, and taken off in reading.
"""

import re

_BEGINS = r"(?:\A|(?<=[;\t\r\n]))"
# The quote itself is among them, so that one that was there is told from one that was put there.
_RUNS = r"(?=[ \"]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n'])"
_UNGUARDED = re.compile(_BEGINS + _RUNS)
_GUARD = re.compile(f"{_BEGINS}'{_RUNS}")


def guarded(cell: str) -> str:
    """The cell as it is written."""
    return _UNGUARDED.sub("'", cell)


def unguarded(cell: str) -> str:
    """The cell as it was before :func:`guarded`."""
    return _GUARD.sub("", cell) if "'" in cell else cell
