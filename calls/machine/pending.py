"""What a call is about to do: adding to its pending commands, and taking back what is void."""

from collections.abc import Container, Iterable

from msgspec.structs import replace

from calls import ids
from calls.machine.commands import AddToBridge, Command, CreateChannel, Dial, LookUp
from calls.machine.session import Phase, Session

ENDING_PATIENCE_MS = 2_000
"""How long a channel that was told to end may stay silent before Asterisk is asked."""
MAX_PATIENCE_MS = 60_000
"""The longest time between two looks at the same call while Asterisk cannot be reached."""


def add(session: Session, *commands: Command) -> Session:
    """The session with these commands pending, each once."""
    new = tuple(each for each in commands if each not in session.pending)
    return replace(session, pending=(*session.pending, *new)) if new else session


def must_be_saved(todo: Iterable[Command], saved: Container[Command], alone: bool) -> bool:
    """Whether the session has to be saved before this is carried out.

    ``saved``: what is pending in the session as it was saved last. ``alone``: whether something
    was decided since then on what only this worker knows, outcomes of its commands or its clock.
    The next one, should this one die, decides on the mailbox alone: what it could decide otherwise
    must not have been done for good.
    """
    return any(
        command not in saved and (command.save_first or (alone and command.for_good))
        for command in todo
    )


def without_attempt_commands(session: Session) -> Session:
    """What was still to be done for an attempt that is decided now is void."""
    kept = tuple(
        each
        for each in session.pending
        if not isinstance(each, CreateChannel | AddToBridge | Dial | LookUp)
    )
    return replace(session, pending=kept)


def later_attempts(session: Session) -> tuple[str, ...]:
    """The channels of attempts that Redis may have forgotten: it went back to before them."""
    known = len(session.legs)
    if session.phase not in (Phase.SETUP, Phase.DIALLING):
        return ()
    numbers = range(known + 1, known + len(session.targets) + 1)
    return tuple(ids.b_channel(session.a_channel, number) for number in numbers)


def look(session: Session, at_ms: int) -> Session:
    """Ask Asterisk what it holds of the call; the longer it stays silent, the more rarely."""
    channels = tuple(leg.channel_id for leg in session.legs if not leg.gone)
    if not session.a_gone:
        channels = (session.a_channel, *channels)
    channels += later_attempts(session)
    patience = min(ENDING_PATIENCE_MS * 2**session.looks, MAX_PATIENCE_MS)
    session = replace(session, looks=min(session.looks + 1, 10), wake_ms=at_ms + patience)
    return add(session, LookUp(channels, session.bridge_id))
