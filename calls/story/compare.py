"""Whether the code of today would treat a finished call as it was treated then.

Two things tell: what was done (an outcome in the journal whose command would not be asked for now,
or a command asked for now that was never carried out), and the record, which is compared field by
field with the one that was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calls.machine.commands import Command, to_plain
from calls.machine.events import CommandDone, CommandFailed
from calls.story.retrace import Course


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that would be otherwise: what it is, as it was then and as it would be now."""

    what: str
    then: str
    now: str

    def __str__(self) -> str:
        return f"{self.what}: then {self.then or 'nothing'}, now {self.now or 'nothing'}"


def of_commands(course: Course) -> tuple[Difference, ...]:
    """How what would be done now differs from what was done, in the order of the call.

    The first is where the ways part; what follows may be its consequence.
    """
    found: list[Difference] = []
    asked: set[Command] = set()
    for decision in course.decisions:
        event = decision.event
        if isinstance(event, CommandDone | CommandFailed) and event.command not in asked:
            found.append(Difference(f"at event {decision.number}", said(event.command), ""))
        asked.update(decision.after.pending)
    session = course.session
    if session is None:
        return (Difference("the beginning", "a call", "nothing that can be read"),)
    found += [Difference("at the end", "", said(command)) for command in session.pending]
    if not course.is_over:
        found.append(Difference("at the end", "over", str(session.phase)))
    found += [Difference("an entry", unread.text[:200], "unreadable") for unread in course.unread]
    return tuple(found)


def of_fields(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The fields of the written record that would have another value now.

    What the record of then does not have yet, it cannot differ in.
    """
    return tuple(
        Difference(name, _word(then[name]), _word(now.get(name)))
        for name in then
        if then[name] != now.get(name)
    )


def said(command: Command) -> str:
    """A command in words: ``dial 1763900000.1.b1 60``."""
    tag, *fields = to_plain(command)
    words = [" ".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in fields]
    return " ".join([str(tag).replace("_", " "), *words])


def _word(value: Any) -> str:
    return "" if value is None else str(value)
