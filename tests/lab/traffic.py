"""Call records of a plausible day, for pages that show figures. Pure but for its random numbers.

The same seed gives the same calls. Asterisk never saw them.
"""

import random
from collections.abc import Iterator

from cdr.record import AttemptRecord, CallRecord, Disposition, EndedBy, Outcome

ACCOUNTS = ("acme", "beta", "gamma")
PREFIXES = {"49": 5, "4930": 3, "33": 2, "1212": 1}
TRUNKS = {"carrier-a": 0.62, "carrier-b": 0.35}
"""Trunk → share of its attempts that are answered."""
ENDINGS = (
    (Disposition.BUSY, 17, 486, False),
    (Disposition.NO_ANSWER, 19, 480, True),
    (Disposition.CANCELLED, 127, 487, True),
    (Disposition.CONGESTION, 34, 503, False),
    (Disposition.UNALLOCATED, 1, 404, False),
)

BY_CALLEE = {Disposition.BUSY, Disposition.CONGESTION, Disposition.UNALLOCATED}


def calls(
    count: int, first_ms: int, last_ms: int, *, seed: int = 7, node: str = "pbx1"
) -> Iterator[CallRecord]:
    """So many calls, begun evenly between the two times (ms since the epoch)."""
    dice = random.Random(seed)
    for number in range(count):
        at_ms = first_ms + (last_ms - first_ms) * number // max(1, count)
        yield _call(dice, number, at_ms + dice.randrange(1000), node, f"{seed}{number:06}")


def _call(dice: random.Random, number: int, at_ms: int, node: str, name: str) -> CallRecord:
    trunk = dice.choice(list(TRUNKS))
    prefix = dice.choices(list(PREFIXES), list(PREFIXES.values()))[0]
    callee = f"{prefix}{dice.randrange(10**6):06}"
    answered = dice.random() < TRUNKS[trunk]
    disposition, cause, sip_code, rang = (
        (Disposition.ANSWERED, 16, 200, True) if answered else dice.choice(ENDINGS)
    )
    ringing_ms = at_ms + round(dice.lognormvariate(6.6, 0.5)) if rang else None
    answered_ms = (ringing_ms or at_ms) + dice.randrange(1_500, 9_000) if answered else None
    ended_ms = (answered_ms or ringing_ms or at_ms) + dice.randrange(800, 240_000)
    channel = f"{at_ms // 1000}.{name}"
    tried = AttemptRecord(
        number=1,
        trunk=trunk,
        outcome=Outcome.DIALLED,
        channel_id=f"{channel}.b1",
        callee_sent=callee,
        started_ms=at_ms + 30,
        ringing_ms=ringing_ms,
        answered_ms=answered_ms,
        ended_ms=ended_ms,
        q850_cause=cause,
        sip_code=sip_code,
    )
    return CallRecord(
        call_id=f"{node}:{channel}",
        node=node,
        started_ms=at_ms,
        ended_ms=ended_ms,
        ringing_ms=ringing_ms,
        answered_ms=answered_ms,
        account=dice.choices(ACCOUNTS, (5, 3, 1))[0],
        caller_received=f"4940{number:07}",
        caller_normalised=f"4940{number:07}",
        caller_sent=f"4940{number:07}",
        callee_received=f"00{callee}",
        callee_normalised=callee,
        callee_sent=callee,
        prefix=prefix,
        route=f"{prefix} (all)",
        trunk=trunk,
        disposition=disposition,
        q850_cause=cause,
        sip_code=sip_code,
        ended_by=EndedBy.CALLEE if disposition in BY_CALLEE else EndedBy.CALLER,
        attempts=(tried,),
    )
