"""The script that begins an ordered call: run twice, as after a lost reply; with its key lost."""

from calls.machine.events import HangupAsked
from calls.store.mailbox import ATTEND, ORDER_MS, Mailboxes, NudgeQueue, Ordered
from cdr.stream import BEGUN_STREAM
from tests.engine.office import Office
from tests.machine.world import CALL, ordered

KEY, DIGEST = "key", "digest"
MAIL = f"ringmaster:mail:{CALL}"


async def order(office: Office, digest: str = DIGEST) -> Ordered:
    return await office.mailboxes.order(CALL, ordered(), KEY, digest)


def one_call(office: Office) -> bool:
    return office.client.llen(MAIL) == office.client.xlen(BEGUN_STREAM) == 1


async def test_an_order_begins_a_call_and_somebody_looks_at_it(office):
    assert await order(office) == Ordered(CALL, DIGEST, nudge=True, begins=True)
    assert one_call(office)
    assert office.client.zscore(ATTEND, CALL)
    assert 0 < office.client.pttl("ringmaster:order:key") <= ORDER_MS


async def test_run_again_it_begins_nothing_and_says_the_same(office):
    await order(office)

    assert await order(office) == Ordered(CALL, DIGEST)
    assert one_call(office)
    assert await office.mailboxes.ordered(KEY) == Ordered(CALL, DIGEST)


async def test_another_order_under_the_key_is_told_what_was_ordered_first(office):
    await order(office)

    assert await order(office, "another") == Ordered(CALL, DIGEST)
    assert one_call(office)


async def test_a_key_that_redis_lost_begins_no_second_call(office):
    await order(office)
    office.client.delete("ringmaster:order:key")

    assert await order(office) == Ordered(CALL, DIGEST)
    assert one_call(office)


async def test_nor_does_it_once_the_call_is_over(office):
    office.world.channels.clear()
    await order(office)
    await office.post(HangupAsked(1, "root"))
    await office.settle()
    office.client.delete("ringmaster:order:key")
    await order(office)

    office.client.delete("ringmaster:order:key")
    assert office.assert_ended_clean().ended_by == "admin"


async def test_where_the_queue_is_in_the_same_redis_the_nudge_is_put_there_once(office):
    queue = NudgeQueue("queue", lambda call: b"nudge for " + call.encode())
    mailboxes = Mailboxes(office.mailboxes._redis, queue)
    first = await mailboxes.order(CALL, ordered(), KEY, DIGEST)
    await mailboxes.order(CALL, ordered(), KEY, DIGEST)

    assert not first.nudge
    assert office.client.lrange("queue", 0, -1) == [f"nudge for {CALL}".encode()]


async def test_nothing_is_known_of_a_key_that_nobody_used(office):
    assert await office.mailboxes.ordered("unheard of") is None
