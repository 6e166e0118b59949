"""What a worker still knows by heart when Redis has lost its data: the calls it has just ended, and
those whose caller it has just called.

A call that is up is rebuilt from Asterisk. One that is ending has nothing there any more, a phone
that rings does not say there what for, and a record in Redis may not have reached the database yet;
they are seconds old, so the worker that attended to them remembers them. What Redis did not lose is
given back in vain: a record is written once for each call, and a session goes only where there is
none and no tombstone.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable

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

    def let_go(self, session: Session) -> None:
        """The call's lock has been given up; what Asterisk could not tell of it is remembered."""
        if session.phase in (Phase.CALLING, Phase.ENDING):
            self._keep(session.call_id, session)
        elif session.order is not None:
            self._ends.pop(session.call_id, None)

    def finished(self, call: str, record: bytes) -> None:
        """The call is over, and its record has been handed over."""
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
        for call, (_, end) in list(self._ends.items()):
            if isinstance(end, Session):
                await mailboxes.restore(end)
            else:
                await mailboxes.hand_over_again(call, end)
        logger.warning(
            "Redis (REDIS_URL) has lost data or was started again; it was given back what this "
            "worker knew of %d calls that have just ended, or that call a phone.",
            len(self._ends),
        )

    def _keep(self, call: str, end: Session | bytes) -> None:
        self._ends[call] = (self._steady_s(), end)
        self._ends.move_to_end(call)
        self._forget_old()

    def _forget_old(self) -> None:
        oldest_s = self._steady_s() - KEPT_S
        while self._ends:
            call, (kept_s, _) = next(iter(self._ends.items()))
            if kept_s >= oldest_s and len(self._ends) <= MOST:
                return
            del self._ends[call]
