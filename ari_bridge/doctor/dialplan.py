"""Reading a context of the dialplan, as far as the doctor needs it. Pure.

The lines come from extensions.conf as Asterisk reads it: ``pattern,priority,Application(data)`` of
an ``exten``, ``n(label),Application(data)`` of a ``same``.
"""

import re
from collections.abc import Iterable, Mapping

from ari_bridge.doctor.facts import Context

HARMLESS = frozenset(
    {
        *("set", "noop", "execif", "stasis", "hangup", "wait", "answer", "ringing", "progress"),
        *("gotoif", "goto", "return", "verbose", "log", "congestion", "busy", "proceeding"),
    }
)
"""Applications that take a call nowhere but into a Stasis application, or to its end."""

_APPLICATION = re.compile(r"(?:^|[?:])\s*([A-Za-z]\w*)\s*\(")
_STASIS = re.compile(r"\bStasis\(\s*([^,)\s]+)", re.I)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_ELSEWHERE = re.compile(r"\bGoto(?:If)?\([^)]*,", re.I)
"""A jump that names an extension or a context, and not only a priority."""
_CLASSES = {"X": "0123456789", "Z": "123456789", "N": "23456789"}


def lines_of(context: Context) -> tuple[str, ...]:
    """All its lines."""
    return context.extens + context.sames


def applications(context: Context, variables: Mapping[str, str]) -> frozenset[str]:
    """The Stasis applications that the context hands calls to."""
    return frozenset(
        _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), named)
        for line in lines_of(context)
        for named in _STASIS.findall(line)
    )


def variables_in(lines: Iterable[str]) -> frozenset[str]:
    """The variables by which Stasis lines name their application."""
    return frozenset(
        variable
        for line in lines
        for named in _STASIS.findall(line)
        for variable in _VARIABLE.findall(named)
    )


def handles_failure(context: Context) -> bool:
    """Whether the context looks at what Stasis said, and so can wait for a listener."""
    return any("STASISSTATUS" in line for line in lines_of(context))


def limits_time(context: Context) -> bool:
    """Whether the context sets a limit that Asterisk itself keeps."""
    return any("TIMEOUT(absolute)" in line for line in lines_of(context))


def caught(context: Context, extension: str) -> str:
    """What matches one of Asterisk's own extensions and so sends ended calls around; '' if nothing.

    An extension of that very name is meant to be there, unless it holds Stasis.
    """
    if extension not in context.reaches:
        return ""
    parts = [line.split(",", 2) for line in context.extens]
    named = [each for each in parts if each[0].strip() == extension]
    if named:
        return extension if any(_STASIS.search(each[-1]) for each in named) else ""
    patterns = (each[0].strip() for each in parts)
    matching = dict.fromkeys(each for each in patterns if matches_letter(each, extension))
    return ", ".join(matching) or "a pattern"


def matches_letter(pattern: str, letter: str) -> bool:
    """Whether a pattern of the dialplan matches an extension of this one letter."""
    if not pattern.startswith("_"):
        return pattern == letter
    rest = pattern[1:]
    if rest.startswith("["):
        inside, closed, rest = rest[1:].partition("]")
        allowed = _expanded(inside) if closed else ""
    elif rest[:1] in ("!", "."):
        return True
    else:
        allowed, rest = _CLASSES.get(rest[:1].upper(), rest[:1]), rest[1:]
    return letter in allowed and rest in ("", "!")


def leads_nowhere_else(context: Context, app: str, variables: Mapping[str, str]) -> bool:
    """Whether a call into the context can only come to the application, or end.

    Only then is a trial call sent through it: a line that dials would place a real call.
    """
    bodies = [line.split(",", 2)[-1] for line in context.extens]
    bodies += [line.partition(",")[2] for line in context.sames]
    return applications(context, variables) == {app} and all(map(_is_harmless, bodies))


def _is_harmless(body: str) -> bool:
    """``body`` is an application and its data."""
    if _ELSEWHERE.search(body):
        return False
    # An application without brackets, such as Hangup, stands alone.
    named = _APPLICATION.findall(body) or [body.strip()]
    return all(name.lower() in HARMLESS for name in named)


def _expanded(inside: str) -> str:
    """The characters of a set such as ``a-z0-9``."""
    found, rest = "", inside
    while rest:
        if len(rest) >= 3 and rest[1] == "-":
            found += "".join(map(chr, range(ord(rest[0]), ord(rest[2]) + 1)))
            rest = rest[3:]
        else:
            found, rest = found + rest[0], rest[1:]
    return found
