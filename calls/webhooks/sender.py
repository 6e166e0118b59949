"""The sender: takes what happened out of the outboxes, and brings it to the endpoints.

One turn after the other: note what came of attempts, make deliveries of what lies in the outboxes,
take up what is due. Attempts run side by side in between, each endpoint's within places of its own,
so that one that is slow takes no other's. What a sender had in hand when it died is due again after
its lease: a message may come twice, with the same id, and is never lost.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis
from django.db import Error, close_old_connections, connections
from django.utils import timezone

from calls.models.webhooks import WebhookDelivery, WebhookEndpoint, enabled_endpoints
from calls.store.impatient import impatient_redis
from calls.store.outbox import OUTBOX, WANTED, Message, fan_out, waiting
from calls.webhooks.deliveries import Settled, drop_old, due_endpoints, settle, take_up
from calls.webhooks.request import Courier, Outcome
from calls.webhooks.signature import headers
from cdr import patience
from cdr.errors import database_away, first_line

TICK_S = 0.25
"""Between two looks, where somebody is to be told."""
IDLE_S = 2.0
"""Between two looks while there is no endpoint."""
AFTER_ERROR_S = 2.0
PLACES = 10
"""Attempts at a time to one endpoint."""
ALL_PLACES = 500
"""Attempts at a time to all of them."""
FAILS = 10
"""After so many failures in a row an endpoint is tried one message at a time."""
TAKEN = 500
"""Entries of an outbox that one statement takes in."""
BATCHES = 10
"""So often in one turn."""
ROWS = 20_000
"""Deliveries that it makes of them at most, where each endpoint wants all."""
DATABASE_S = 15.0
"""How long a turn may wait for the database."""
PRUNE_S = 60.0
SAY_AGAIN_S = 10.0
"""Between two lines about a Redis that is away."""
STOP_S = 6.0
"""How long a stopping sender waits for attempts under way."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Sender:
    """Brings messages until it is told to stop; ``sign`` is called with every turn."""

    def __init__(
        self,
        redis_urls: Sequence[str],
        courier: Courier,
        pauses_s: Sequence[int],
        days: int,
        sign: Callable[[], None] = lambda: None,
    ) -> None:
        """``redis_urls``: the Redis that has what is wanted, then others that have an outbox."""
        self._redis_urls = tuple(dict.fromkeys(redis_urls))
        self._courier = courier
        self._pauses_s = pauses_s
        self._days = days
        self._sign = sign
        self._settled: list[Settled] = []
        self._under_way: Counter[int] = Counter()
        self._fails: Counter[int] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._awake = asyncio.Event()
        self._next_prune_s = 0.0
        self._say_away_s = 0.0
        # Django's connections are each of one thread.
        self._thread = ThreadPoolExecutor(1, "webhooks")

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until ``stop`` is set. Redis or a database that is away is waited for."""
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            self._sign()
            self._awake.clear()
            try:
                pause_s = await self._turn()
            except (redis.RedisError, Error) as error:
                logger.error("Webhooks wait, none is lost. %s", _away(error))
                pause_s = AFTER_ERROR_S
            awake = asyncio.create_task(self._awake.wait())
            await asyncio.wait(
                (stopping, awake), timeout=pause_s, return_when=asyncio.FIRST_COMPLETED
            )
            awake.cancel()
        await self._end()

    async def _end(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)
        try:
            await self._settle()
        except Error as error:
            logger.warning("What came of the last attempts is not noted: %s", first_line(error))
        await self._in_thread(connections.close_all)
        self._thread.shutdown()

    async def _turn(self) -> float:
        """One turn; gives how long to wait for the next."""
        await self._settle()
        endpoints, taken = await self._in_thread(self._work)
        for delivery in taken:
            self._under_way[delivery.endpoint_id] += 1
            task = asyncio.create_task(self._attempt(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return TICK_S if endpoints or self._tasks else IDLE_S

    def _work(self) -> tuple[int, list[WebhookDelivery]]:
        close_old_connections()
        endpoints = list(enabled_endpoints())
        self._take_in(endpoints)
        self._prune()
        return len(endpoints), self._take_up()

    def _take_up(self) -> list[WebhookDelivery]:
        """What is due, as far as there are places for it."""
        now = timezone.now()
        waiting = due_endpoints(now)
        places = max(1, min(PLACES, ALL_PLACES // max(1, len(waiting))))
        room = ALL_PLACES - self._under_way.total()
        # Where there are too many, none is always the last.
        random.shuffle(waiting)
        taken: list[WebhookDelivery] = []
        for endpoint in waiting:
            free = min(self._free(endpoint.pk, places), room - len(taken))
            if free > 0:
                taken += take_up(endpoint, free, now)
        return taken

    def _free(self, endpoint: int, places: int) -> int:
        if self._fails[endpoint] >= FAILS:
            places = 1
        return places - self._under_way[endpoint]

    async def _settle(self) -> None:
        settled, self._settled = self._settled, []
        if not settled:
            return
        try:
            sentences = await self._in_thread(lambda: settle(settled, self._pauses_s))
        except Error:
            self._settled = settled + self._settled
            raise
        for sentence in sentences:
            logger.error("%s", sentence)

    def _take_in(self, endpoints: Sequence[WebhookEndpoint]) -> None:
        """Make deliveries of what lies in the outboxes, and say there what is wanted."""
        # So many rows at a time as are written well within their time.
        most = max(1, min(TAKEN, ROWS // max(1, len(endpoints))))
        wanted = " ".join(sorted({event for each in endpoints for event in each.events.split()}))
        first, *others = self._redis_urls
        with impatient_redis(first) as client:
            client.set(WANTED, wanted)
            self._empty(client, most, endpoints)
        for url in others:
            try:
                with impatient_redis(url) as client:
                    self._empty(client, most, endpoints)
            except redis.RedisError as error:
                # What it has waits there; what is told of calls does not wait for it.
                self._say_away(error)

    def _empty(self, client: redis.Redis, most: int, endpoints: Sequence[WebhookEndpoint]) -> None:
        for entries in self._batches(client, most):
            fan_out((message for _, message in entries if message), endpoints)
            client.xdel(OUTBOX, *(entry_id for entry_id, _ in entries))

    def _say_away(self, error: redis.RedisError) -> None:
        now_s = time.monotonic()
        if now_s >= self._say_away_s:
            self._say_away_s = now_s + SAY_AGAIN_S
            logger.error(
                "What webhooks are told of trunks and limits waits, none is lost. Redis "
                "(LIMITS_REDIS_URL) does not answer: %s.",
                first_line(error),
            )

    def _batches(
        self, client: redis.Redis, most: int
    ) -> Iterator[list[tuple[bytes, Message | None]]]:
        """What lies in an outbox; of a long one a part, so that a turn comes to its end."""
        for _ in range(BATCHES):
            entries = waiting(client, most)
            if not entries:
                return
            yield entries

    def _prune(self) -> None:
        if time.monotonic() < self._next_prune_s:
            return
        full = drop_old(self._days, timezone.now())
        self._next_prune_s = time.monotonic() + (0 if full else PRUNE_S)

    async def _attempt(self, delivery: WebhookDelivery) -> None:
        endpoint = delivery.endpoint
        try:
            outcome = await self._outcome(delivery)
        except Exception:
            # Else its place would be taken for good.
            logger.exception("Message %s could not be brought.", delivery.message_id)
            outcome = Outcome("A fault of Ringmaster's own, which stands in its log")
        self._fails[endpoint.pk] = 0 if outcome.ok else self._fails[endpoint.pk] + 1
        if not outcome.ok:
            logger.warning(
                "Webhook %s did not take %s (%s%s), attempt %d: %s.",
                endpoint.name,
                delivery.message_id,
                delivery.event,
                f" of call {delivery.call_id}" if delivery.call_id else "",
                delivery.attempts + 1,
                outcome.problem,
            )
        self._settled.append(Settled(delivery, outcome))
        self._under_way[endpoint.pk] -= 1
        self._awake.set()

    async def _outcome(self, delivery: WebhookDelivery) -> Outcome:
        endpoint, body = delivery.endpoint, delivery.body.encode()
        try:
            secrets = endpoint.signing_secrets()
        except ValueError as error:
            return Outcome(str(error).rstrip("."))
        signed = headers(delivery.message_id, int(time.time()), body, secrets)
        return await self._courier.attempt(endpoint.url, body, signed)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def limited() -> T:
            with patience.within(DATABASE_S):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, limited)


def _away(error: redis.RedisError | Error) -> str:
    if isinstance(error, redis.RedisError):
        return f"Redis (REDIS_URL) does not answer: {first_line(error)}."
    return database_away(error)
