"""The last turn of a call with which nobody can go on: it is ended with what can be told of it.

A fault of ours, or something in Redis that cannot be understood, makes every turn of a call fail.
After `HOPELESS_TURNS` over `HOPELESS_MS` (turn.py) the call is not decided any more: its channels
and its bridge are ended, its places given back, its session and mailbox put aside for whoever looks
for the fault (calls/store/rejected.py), and its record is written from what can be read, as
recovered. Nothing here runs through the machine's table, which may be what fails.
"""

import asyncio
import logging
from collections.abc import Callable

from calls import ids, metrics
from calls.engine.asterisk import Gateway
from calls.engine.last_words import say_over
from calls.errors import CallError
from calls.machine import salvage
from calls.machine.commands import DestroyBridge, Hangup, Release
from calls.machine.events import CommandFailed
from calls.machine.record import trace_head
from calls.store.counters import Limits
from calls.store.mailbox import Mailboxes

logger = logging.getLogger(__name__)


class LastTurn:
    """Ends calls, each under a lock that the caller holds."""

    def __init__(
        self,
        mailboxes: Mailboxes,
        gateway: Gateway,
        limits: Limits,
        clock_ms: Callable[[str], int],
        keeps_journal: bool,
    ) -> None:
        self._mailboxes = mailboxes
        self._gateway = gateway
        self._limits = limits
        self._clock_ms = clock_ms
        self._keeps_journal = keeps_journal

    async def run(self, call: str, token: str, why: str, until_s: float) -> None:
        """End the call. ``why`` goes into its record; ``until_s`` is when the lock may lapse.

        Raises LockLost, and CallError when Asterisk does not do its part: then nothing is written
        and the next turn that fails tries it again.
        """
        logger.error("Call %s is ended, nobody can go on with it: %s.", call, why)
        node, _ = ids.split_call_id(call)
        session, mail = await self._mailboxes.raw(call)
        ended = salvage.ended(call, session, mail, self._clock_ms(node), why)
        asks = [each for each in ended.pending if isinstance(each, Hangup | DestroyBridge)]
        await asyncio.gather(*(self._end(node, each, until_s) for each in asks))
        talks = [each.talk_ms for each in ended.pending if isinstance(each, Release)]
        # Also where its limits are not known any more: what it holds is.
        await self._limits.release(call, ended.rules or (), sum(talks))
        aside = [(event, why) for event in mail]
        await self._mailboxes.set_aside(call, token, aside, session=why if session else "")
        record = salvage.record(ended)
        head = trace_head(record).to_json() if self._keeps_journal else b""
        await self._mailboxes.finish(call, token, record.to_json(), head)
        metrics.CALLS_GIVEN_UP.inc()
        say_over(record)

    async def _end(self, node: str, command: Hangup | DestroyBridge, until_s: float) -> None:
        outcome = await self._gateway.carry_out(node, command, True, until_s)
        if isinstance(outcome, CommandFailed):
            raise CallError(f"What is left of a hopeless call cannot be ended: {outcome.reason}.")
