"""How far the workers' clock was ahead of Asterisk's in a call, told by what cannot be otherwise.

What Asterisk says has Asterisk's time, what workers do has theirs. Nothing comes before its cause:
nobody rings before they were dialled, and nobody is hung up by us before we said so. By as much as
that would be so, the workers' clock was ahead.
"""

from dataclasses import replace

from calls.machine.commands import Command, Dial, Hangup
from calls.machine.events import (
    ChannelAnswered,
    ChannelRinging,
    CommandDone,
    Doubted,
    Event,
    HangupAsked,
    HangupRequested,
    Result,
)
from calls.story.retrace import Course, Decision

MOST_MS = 60_000
"""A difference past this is no clock's; it is left as it stands."""


def ahead_ms(course: Course) -> int:
    """By how many ms the workers' clock was ahead of Asterisk's, at least; 0 if nothing tells."""
    ahead = 0
    for done in course.decisions:
        if isinstance(done.event, CommandDone) and done.asked_ms:
            effect = _effect(course, done.event.command, done)
            if effect is not None:
                ahead = max(ahead, done.asked_ms - effect.at_ms)
    return ahead if ahead <= MOST_MS else 0


def by_one_clock(course: Course) -> Course:
    """The course with all its times by Asterisk's clock, as far as can be told."""
    ahead = ahead_ms(course)
    if not ahead:
        return course
    return replace(course, decisions=tuple(_moved(each, ahead) for each in course.decisions))


def _effect(course: Course, command: Command, done: Decision) -> Event | None:
    """What Asterisk said that it did because of this command."""
    asked = next((each for each in course.decisions if command in each.after.pending), None)
    first = asked.number if asked is not None else done.number
    for decision in course.decisions[first:]:
        event = decision.event
        match command, event:
            # Asterisk tells of a dial when the INVITE is made, which is before the request for it.
            case Dial(), ChannelRinging() | ChannelAnswered():
                if event.channel_id == command.channel_id:
                    return event
            case Hangup(), HangupRequested(soft=True):
                if event.channel_id == command.channel_id:
                    return event
    return None


def _moved(decision: Decision, by_ms: int) -> Decision:
    event = decision.event
    if isinstance(event, Result | Doubted | HangupAsked):
        event = replace(event, at_ms=event.at_ms - by_ms)
    return replace(
        decision,
        event=event,
        began_ms=decision.began_ms and decision.began_ms - by_ms,
        asked_ms=decision.asked_ms and decision.asked_ms - by_ms,
    )
