"""What may be shown on a terminal. Pure."""


def printable(text: str) -> str:
    """``text`` without anything that could steer a terminal or turn the reading direction.

    Controls, escape sequences and format characters are written out, as ``\\x1b``.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
