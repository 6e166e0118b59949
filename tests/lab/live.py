"""Live calls that nobody makes: sessions put into Redis as the engine saves them.

For pages that look at live calls, and for how long they take with thousands. No channel stands
behind these calls and no worker attends to them.
"""

from collections.abc import Iterable, Sequence

import redis
from msgspec.structs import replace

from calls.machine.beginning import begin
from calls.machine.events import CallEntered
from calls.machine.session import Leg, Phase, Session, to_json
from calls.routing.choice import Target
from calls.store.mailbox import ATTEND

FAR_AHEAD_MS = 3_600_000
"""When somebody is to look at such a call next: no sweeper of the test does."""
AT_ONCE = 1_000


def session(
    number: int,
    *,
    now_ms: int,
    node: str = "pbx1",
    account: str = "acme",
    trunk: str = "carrier-a",
    phase: Phase = Phase.TALKING,
    seconds: int = 60,
    callee: str = "",
) -> Session:
    """The session of a call that began so many seconds ago and is in this phase."""
    started_ms = now_ms - seconds * 1000
    channel = f"{started_ms // 1000}.{number}"
    callee = callee or f"4930{number:07}"
    entered = CallEntered(
        channel,
        started_ms,
        f"PJSIP/{account}-{number:08x}",
        callee,
        f"4940{number:07}",
        "",
        account,
    )
    begun = begin(f"{node}:{channel}", entered)
    if phase is Phase.ROUTING:
        return begun
    leg = Leg(1, f"{channel}.b1", trunk, callee, f"4940{number:07}", 60, started_ms + 20)
    if phase is Phase.DIALLING:
        leg = replace(leg, created=True, dialled=True, ringing_ms=started_ms + 900)
    if phase is Phase.TALKING:
        leg = replace(leg, created=True, dialled=True, answered_ms=started_ms + 3_000)
    return replace(
        begun,
        phase=phase,
        pending=(),
        account=account,
        callee=callee,
        caller=f"4940{number:07}",
        prefix="49",
        route="49 (all)",
        max_call_s=7200,
        targets=(Target("carrier-b", f"PJSIP/{callee}@carrier-b", callee, "", 60),),
        legs=(leg,),
        a_up=phase is Phase.TALKING,
        answered_ms=leg.answered_ms,
        wake_ms=now_ms + FAR_AHEAD_MS,
    )


def put(client: "redis.Redis", sessions: Iterable[Session]) -> list[str]:
    """Put the calls into Redis; returns their ids."""
    calls: list[str] = []
    batch: list[Session] = []
    for each in sessions:
        batch.append(each)
        if len(batch) == AT_ONCE:
            calls += _put(client, batch)
            batch = []
    return calls + _put(client, batch)


def _put(client: "redis.Redis", sessions: Sequence[Session]) -> list[str]:
    with client.pipeline(transaction=False) as pipeline:
        for each in sessions:
            pipeline.hset(f"ringmaster:call:{each.call_id}", "session", to_json(each))
            pipeline.zadd(ATTEND, {each.call_id: each.wake_ms})
        pipeline.execute()
    return [each.call_id for each in sessions]
