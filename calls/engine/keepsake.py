"""What a worker still knows by heart when Redis has lost its data: the calls it has just ended, and
the phones that it has just called for orders.

A call that is up is rebuilt from Asterisk. One that is ending has nothing there any more, and a
record in Redis may not have reached the database yet; they are seconds old, so the worker that
attended to them remembers them. What Redis did not lose is given back in vain: a record is written
once for each call, and a session goes only where there is none and no tombstone.

A phone that has declined before anybody noticed the loss has nothing in Asterisk either. But one
that was answered may have gone on with another worker, which this one knows nothing of; so what is
known of those calls goes back only where calls/engine/phones.py finds nothing of them.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from calls import ids
from calls.machine.ordered import LONGEST_RING_S
from calls.machine.session import Phase, Session
from calls.store.mailbox import Mailboxes
from calls.store.mark import Mark

KEPT_S = 60
"""How long it is remembered. Records reach the database within a second, unless it is away; a Redis
that goes back in time goes back by a second or two."""
MOST = 20_000
"""Calls that are remembered at most, some 20 MB of records."""

logger = logging.getLogger(__name__)


class Keepsake:
    """The last ends of one worker, by call."""

    def __init__(self, steady_s: Callable[[], float]) -> None:
        self._steady_s = steady_s
        self._ends: OrderedDict[str, tuple[float, Session | bytes]] = OrderedDict()
        self._ordered: OrderedDict[str, tuple[float, Session | bytes]] = OrderedDict()
        """Of ordered calls, for as long as whoever called their phone remembers that."""
        self._phones: OrderedDict[str, tuple[float, Session]] = OrderedDict()
        """Of calls whose phone is being called; they ring for up to two minutes."""

    def let_go(self, session: Session) -> None:
        """The call's lock has been given up; what Asterisk could not tell of it is remembered."""
        if session.phase is Phase.CALLING:
            self._phones[session.call_id] = (self._steady_s(), session)
            self._phones.move_to_end(session.call_id)
            self._forget_old()
            return
        if session.order is not None:
            self._phones.pop(session.call_id, None)
        if session.phase is Phase.ENDING:
            self._keep(session.call_id, session)

    def called(self) -> list[Session]:
        """The calls whose phone was being called when they were let go."""
        self._forget_old()
        return [session for _, session in self._phones.values()]

    def finished(self, call: str, record: bytes) -> None:
        """The call is over, and its record has been handed over."""
        self._phones.pop(call, None)
        self._keep(call, record)

    async def after_loss(self, mark: Mark, mailboxes: Mailboxes) -> None:
        """The mark has changed: give back, and only then take it for attended to. Raises as
        `give_back`."""
        await self.give_back(mailboxes)
        mark.attended()

    async def give_back(self, mailboxes: Mailboxes) -> None:
        """Let Redis have again what it may have lost.

        Raises redis.RedisError when it takes no more; what it has taken does no harm twice.
        """
        self._forget_old()
        called = len(self.called())
        ends = [*self._ends.items(), *self._ordered.items()]
        for call, (_, end) in ends:
            if isinstance(end, Session):
                await mailboxes.restore(end)
            else:
                await mailboxes.hand_over_again(call, end)
        logger.warning(
            "Redis (REDIS_URL) has lost data or was started again; it was given back what this "
            "worker knew of %d calls that have just ended. What became of %d phones that it called "
            "is looked at in a moment.",
            len(ends),
            called,
        )

    def _keep(self, call: str, end: Session | bytes) -> None:
        is_ordered = ids.is_ordered(ids.split_call_id(call)[1])
        ends = self._ordered if is_ordered else self._ends
        ends[call] = (self._steady_s(), end)
        ends.move_to_end(call)
        self._forget_old()

    def _forget_old(self) -> None:
        _forget(self._ends, self._steady_s() - KEPT_S)
        for kept in (self._ordered, self._phones):
            _forget(kept, self._steady_s() - LONGEST_RING_S - KEPT_S)


def _forget(kept: OrderedDict[str, Any], oldest_s: float) -> None:
    while kept:
        call, (kept_s, _) = next(iter(kept.items()))
        if kept_s >= oldest_s and len(kept) <= MOST:
            return
        del kept[call]
