"""Places the demo's calls and follows each to its end.

Imported when Django is set up: it reads the live calls and the records as the product has them.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import redis

from calls.engine.live import live_calls
from calls.store.mailbox import Mailboxes, connect
from cdr import stream
from cdr.models import Cdr
from tests.lab.demo import scenario
from tests.lab.demo.display import Board, Shown
from tests.lab.demo.scenario import DemoCall
from tests.lab.demo.stage import NODE, Stage
from tests.lab.errors import LabError
from tests.lab.sip import RunningCalls

LOOK_S = 0.1
"""Time between two looks at the calls."""
LONGEST_S = 60.0
"""A call still up so long after the last was placed is given up."""
RECORDS_S = 15.0
"""How long after the last caller's end the records may take."""


@dataclass(frozen=True)
class Played:
    """What there is when no call is up any more."""

    records: Sequence[Cdr]
    """All call records of this run, oldest first."""
    heard: dict[DemoCall, int | None]
    """The final SIP code that each caller got."""
    faults: Sequence[str]
    """What should be gone and is not, and callers that could not be played, a sentence each."""


class Calling:
    """One run through the scenario."""

    def __init__(self, stage: Stage, board: Board) -> None:
        self._stage = stage
        self._board = board
        self._began = datetime.now(UTC)
        self._placed: dict[DemoCall, RunningCalls] = {}
        self._by_number = {(call.user, call.number): call for call in scenario.CALLS}
        self._live: set[str] = set()
        self._records: list[Cdr] = []

    def run(self) -> Played:
        """Place the calls and wait until all are over and recorded, or time is up."""
        with contextlib.ExitStack() as things:
            runner = things.enter_context(asyncio.Runner())
            client = connect(self._stage.redis_url)
            things.callback(lambda: runner.run(client.aclose()))
            counts = things.enter_context(redis.Redis.from_url(self._stage.redis_url))
            things.callback(self._abandon)
            began, last_up = time.monotonic(), time.monotonic()
            while True:
                now = time.monotonic()
                self._place_due(now - began)
                runner.run(self._look(Mailboxes(client)))
                self._read_records()
                if self._callers_up():
                    last_up = now
                elif self._settled(counts) or now - last_up > RECORDS_S:
                    break
                if now - began > LONGEST_S + len(scenario.CALLS) * scenario.PAUSE_S:
                    break
                time.sleep(LOOK_S)
            heard, failed = self._heard()
            return Played(self._records, heard, [*failed, *self._left_over(counts)])

    def _place_due(self, since_s: float) -> None:
        due = min(int(since_s / scenario.PAUSE_S) + 1, len(scenario.CALLS))
        for call in scenario.CALLS[len(self._placed) : due]:
            self._placed[call] = self._stage.caller.start(
                call.number,
                as_user=call.user,
                talk_ms=call.talk_ms,
                cancel_after_ms=call.cancel_after_ms,
            )
            self._board.tell(call, Shown("placed"))

    async def _look(self, mailboxes: Mailboxes) -> None:
        seen = await live_calls(mailboxes, NODE)
        self._live = {each.call_id for each in seen}
        for each in seen:
            call = self._by_number.get((each.caller, each.callee))
            if call is not None:
                self._board.tell(call, Shown(each.state, each.trunk, each.since_ms / 1000))

    def _read_records(self) -> None:
        found = Cdr.objects.filter(node=NODE, started_at__gte=self._began)
        self._records = list(found.order_by("started_at", "id"))
        for record in self._records:
            call = self._by_number.get((record.caller_received, record.callee_received))
            if call is not None:
                word = record.get_disposition_display()
                self._board.tell(call, Shown(word, record.trunk, over=True))

    def _callers_up(self) -> bool:
        return len(self._placed) < len(scenario.CALLS) or any(
            each.running for each in self._placed.values()
        )

    def _settled(self, counts: "redis.Redis") -> bool:
        return (
            not self._live
            and len(self._records) >= len(scenario.CALLS)
            and not counts.xlen(stream.STREAM)
            and not self._stage.asterisk.leftovers()
        )

    def _heard(self) -> tuple[dict[DemoCall, int | None], list[str]]:
        """What each caller got, and a sentence for each that could not be played."""
        heard: dict[DemoCall, int | None] = {}
        failed = []
        for call, running in self._placed.items():
            try:
                finals = [] if running.running else running.wait().finals
                heard[call] = next(iter(finals), None)
            except LabError as error:
                failed.append(f"The caller of '{call.title}' could not be played. {error}")
        return heard, failed

    def _left_over(self, counts: "redis.Redis") -> list[str]:
        wrong = []
        if self._live:
            wrong.append(f"Calls are still up: {', '.join(sorted(self._live))}.")
        if held := self._stage.asterisk.leftovers():
            wrong.append(f"Asterisk still holds channels or bridges: {', '.join(held)}.")
        if waiting := counts.xlen(stream.STREAM):
            wrong.append(f"{waiting} call records still wait in Redis to be written.")
        return wrong

    def _abandon(self) -> None:
        for running in self._placed.values():
            running.abandon()
