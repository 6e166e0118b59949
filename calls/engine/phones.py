"""What became of the phones that were called for orders when Redis lost its data.

One that rings says on its channel what for, and a comparison has its call go on. Of one that
declined or was given up before anybody noticed the loss nothing is left in Asterisk, and only the
worker that called it knows that there was such a call. But another worker may have gone on with it
since, so it is given back only where Asterisk, a little later, holds nothing of it.
"""

import asyncio
from contextlib import suppress

import redis

from calls.engine.asterisk import Gateway
from calls.engine.keepsake import Keepsake
from calls.machine.commands import LookUp
from calls.machine.events import Listed
from calls.store.mailbox import Mailboxes

LOOK_AFTER_S, LOOKS = 3.0, 60
"""When it is looked, and how often at a node that does not answer, or a phone that rings on while
no comparison makes its call known: for as long as a phone may ring, and a minute."""


class Phones:
    """The phones that were called when Redis lost its data: who is gone has a session again."""

    def __init__(self, keepsake: Keepsake, mailboxes: Mailboxes, gateway: Gateway) -> None:
        self._mailboxes = mailboxes
        self._gateway = gateway
        self._called = keepsake.called()

    async def look(self) -> None:
        """Look until Asterisk has told what became of each."""
        for _ in range(LOOKS):
            if not self._called:
                return
            await asyncio.sleep(LOOK_AFTER_S)
            with suppress(redis.RedisError):
                await self.look_once()

    async def look_once(self) -> None:
        """Give the sessions back whose phone and bridge are gone, unless Redis knows the calls
        again: the machine finds the phone gone, too, and ends the call with its record. What is
        still there a comparison rebuilds from it. Raises redis.RedisError when Redis fails; who was
        not given back then is looked at the next time.
        """
        for session in list(self._called):
            command = LookUp((session.a_channel,), session.bridge_id)
            seen = await self._gateway.carry_out(session.node, command, again=False)
            if not isinstance(seen, Listed):
                continue
            if not seen.channels and not seen.bridge:
                await self._mailboxes.restore(session)
            elif not await self._mailboxes.is_known(session.call_id):
                # Nobody has compared yet, as the bridge is away; it may still decline.
                continue
            self._called.remove(session)
