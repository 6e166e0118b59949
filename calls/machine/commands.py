"""What the engine can ask for. A command is a frozen value; a gateway carries it out.

Three questions decide how a command survives the death of the worker that runs it:

*save_first*   must the session say "this is about to happen" before it happens? Yes for whatever
               leaves something behind under an id that only the session knows, and for `Dial`.
               The others are harmless to repeat from an earlier saved state.
*for_good*     can it not be taken back? Then it must rest on what every worker knows: on the saved
               session and the mailbox. What rests on more (an outcome that only this worker has
               heard, its clock) is saved first, or the next worker could decide otherwise, and the
               record would not say what was done (`pending.must_be_saved`).
*look first*   may it be repeated blindly? A second `Dial` before the 180 kills B, so a gateway told
               `again` looks at the channel before it dials. All others Asterisk recognises itself.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from calls.machine import stored


@dataclass(frozen=True, slots=True)
class FindRoute:
    """Ask the directory who the caller is and where the number goes."""

    tag: ClassVar[str] = "find_route"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Reserve:
    """Take the call's places among its limits, and on the first trunk left that has room.

    The same ``attempt`` of the same call is answered the same, so a repeat takes nothing twice.
    """

    tag: ClassVar[str] = "reserve"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = False
    attempt: int


@dataclass(frozen=True, slots=True)
class Extend:
    """Spend the next slice of the call's minutes; it has ``have_s`` seconds of talk so far.

    Asked again for the same ``have_s`` it is answered the same, and nothing is spent twice.
    """

    tag: ClassVar[str] = "extend"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = False
    have_s: int


@dataclass(frozen=True, slots=True)
class Release:
    """Give the call's places back and count ``talk_ms`` in its minutes. A repeat does nothing."""

    tag: ClassVar[str] = "release"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = True
    talk_ms: int


@dataclass(frozen=True, slots=True)
class CreateChannel:
    """Create B's channel, not yet dialled.

    ``limit_s`` is put on it as TIMEOUT(absolute), so that Asterisk ends it even with all of us
    dead; it counts from now, ringing included. ``caller_number`` is shown to B ('' = anonymous).
    ``digest`` is left on it, for the call to be rebuilt from; ``hops`` goes along, so that a call
    which comes back to us is known.
    """

    tag: ClassVar[str] = "create_channel"
    save_first: ClassVar[bool] = True
    for_good: ClassVar[bool] = False
    channel_id: str
    originator: str
    endpoint: str
    limit_s: int
    caller_number: str
    digest: str = ""
    hops: int = 1


@dataclass(frozen=True, slots=True)
class Originate:
    """Call the caller of an ordered call: A's channel is made and dialled. The caller has entered
    when it is answered.

    It rings for at most ``timeout_s`` seconds and is shown ``shown``; Asterisk ends it ``limit_s``
    seconds from now, unless told otherwise meanwhile. ``endpoint`` '': a silent channel of
    Asterisk's own stands in A's place. ``digest`` is left on it, for the call to be rebuilt from.
    """

    tag: ClassVar[str] = "originate"
    save_first: ClassVar[bool] = True
    for_good: ClassVar[bool] = False
    channel_id: str
    endpoint: str
    timeout_s: int
    limit_s: int
    shown: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Play:
    """Play a sound to whoever is in the bridge. A repeat is heard after it."""

    tag: ClassVar[str] = "play"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = True
    bridge_id: str
    sound: str


@dataclass(frozen=True, slots=True)
class CreateBridge:
    """Create the mixing bridge of the call; ``digest`` becomes its name."""

    tag: ClassVar[str] = "create_bridge"
    save_first: ClassVar[bool] = True
    for_good: ClassVar[bool] = False
    bridge_id: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class AddToBridge:
    """Put channels into the bridge."""

    tag: ClassVar[str] = "add_to_bridge"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = False
    bridge_id: str
    channel_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dial:
    """Dial a created channel; it rings for at most ``timeout_s`` seconds.

    ``look_first``: it may have been dialled before, by what nobody remembers.
    """

    tag: ClassVar[str] = "dial"
    save_first: ClassVar[bool] = True
    for_good: ClassVar[bool] = False
    channel_id: str
    timeout_s: int
    look_first: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer A. Asterisk has normally done it already when B answered in the same bridge."""

    tag: ClassVar[str] = "answer"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = True
    channel_id: str


@dataclass(frozen=True, slots=True)
class LimitChannel:
    """Let Asterisk end the channel ``limit_s`` seconds from now: TIMEOUT(absolute)."""

    tag: ClassVar[str] = "limit_channel"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = False
    channel_id: str
    limit_s: int


@dataclass(frozen=True, slots=True)
class Hangup:
    """End a channel; ``cause`` (Q.850) becomes the SIP code that its far end hears."""

    tag: ClassVar[str] = "hangup"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = True
    channel_id: str
    cause: int


@dataclass(frozen=True, slots=True)
class DestroyBridge:
    """Remove the bridge. Hangs nobody up."""

    tag: ClassVar[str] = "destroy_bridge"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = True
    bridge_id: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask Asterisk which of these channels, and the bridge, it holds."""

    tag: ClassVar[str] = "look_up"
    save_first: ClassVar[bool] = False
    for_good: ClassVar[bool] = False
    channel_ids: tuple[str, ...]
    bridge_id: str


AriCommand = (
    CreateChannel
    | Originate
    | Play
    | CreateBridge
    | AddToBridge
    | Dial
    | Answer
    | LimitChannel
    | Hangup
    | DestroyBridge
    | LookUp
)
Command = FindRoute | Reserve | Extend | Release | AriCommand

_FORMS = stored.forms(
    FindRoute,
    Reserve,
    Extend,
    Release,
    CreateChannel,
    Originate,
    Play,
    CreateBridge,
    AddToBridge,
    Dial,
    Answer,
    LimitChannel,
    Hangup,
    DestroyBridge,
    LookUp,
)


def to_plain(command: Command) -> list[Any]:
    """The command as a JSON array of its tag and its fields in order."""
    return stored.plain(command)


def from_plain(plain: object) -> Command:
    """The command that `to_plain` described, here or in another version of Ringmaster.

    Raises Unreadable with a sentence when *plain* is no such array.
    """
    command: Command = stored.read(_FORMS, plain)
    return command
