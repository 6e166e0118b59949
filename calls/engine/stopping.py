"""Stopping accounts at once: they are disabled, and every call of theirs ends.

A call that is up bears the code that its account had when it was routed, so codes that an account
bore before count for the calls that began while it did.

A call that asked for its route just before may not have saved yet whose it is. So the live calls
are looked at again until the longest step that such a call may be in is over.
"""

import logging
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from calls.engine.hangup import hang_up
from calls.errors import CallError
from calls.machine.events import CallEntered, CallOrdered, decode
from calls.routing.choice import account_keys
from calls.store.overview import Kept, look

LOOK_S = 0.5
"""Between two looks at the live calls."""
NOBODY: Mapping[str, int] = MappingProxyType({})
FOR_EVER = sys.maxsize
LONGEST_STEP_S = 2.5
"""A worker asks for a route for two seconds at most; what it found before is saved after that."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The calls that were asked to end. ``slow`` is a sentence when the broker took no nudge,
    ``unread`` are calls of which nobody can tell whose they are."""

    calls: tuple[str, ...]
    slow: str = ""
    unread: tuple[str, ...] = ()


def end_calls_of(
    codes: Collection[str],
    by: str,
    for_s: float | None = None,
    former: Mapping[str, int] = NOBODY,
) -> Stopped:
    """End the calls of these accounts, which are disabled already; takes ``for_s`` seconds, or
    the longest step's. ``former`` are codes that they bore before, each with until when, in ms
    since the epoch.

    Not for use on an event loop. Raises redis.RedisError when Redis fails; doing it again does no
    harm.
    """
    asked: dict[str, None] = {}
    slow = ""
    until_s = time.monotonic() + (LONGEST_STEP_S if for_s is None else for_s)
    whose = dict(former) | dict.fromkeys(codes, FOR_EVER)
    while True:
        found, unread = _calls_of(whose, look())
        new = [call for call in found if call not in asked]
        if new:
            done = hang_up(new, by)
            asked |= dict.fromkeys(done.calls)
            slow = slow or done.slow
        if time.monotonic() >= until_s:
            return Stopped(tuple(asked), slow, tuple(unread))
        time.sleep(min(LOOK_S, max(0.0, until_s - time.monotonic())))


def _calls_of(whose: Mapping[str, int], kept: Sequence[Kept]) -> tuple[list[str], list[str]]:
    """The calls of the accounts that bear these codes until then, and those that cannot be read.

    One that cannot be read must not let the others live.
    """
    found, unread = [], []
    for each in kept:
        try:
            if _is_of(whose, each):
                found.append(each.call)
        except Exception:
            logger.exception("Nobody can tell whose call %s is.", each.call)
            unread.append(each.call)
    return found, unread


def _is_of(whose: Mapping[str, int], kept: Kept) -> bool:
    """Whether the call is of one of these accounts, or will be once it is routed."""
    if kept.session:
        plain = orjson.loads(kept.session)
        account = plain.get("account")
        keys = (account,) if account else plain["account_keys"]
        return _bears(whose, keys, plain["started_ms"])
    events, wrong = [], None
    for text in kept.mail:
        try:
            events.append(decode(text))
        except CallError as error:
            wrong = error
    began = [event for event in events if isinstance(event, CallEntered | CallOrdered)]
    if wrong is not None and not began:
        raise wrong
    return any(_bears(whose, _keys_of(event), event.at_ms) for event in began)


def _keys_of(event: CallEntered | CallOrdered) -> Collection[str]:
    if isinstance(event, CallOrdered):
        return (event.account_code,)
    return account_keys(event.account_code, event.channel_name)


def _bears(whose: Mapping[str, int], keys: Collection[str], began_ms: int) -> bool:
    return any(began_ms <= whose.get(key, -1) for key in keys)
