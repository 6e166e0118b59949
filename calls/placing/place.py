"""Placing a call: an account's phone is called, and then the number, as if the phone had dialled.

    place(NewCall("acme", "alice", "0049301234"), by="token crm", orderer="token:7", key="a81c")

An order has a key of its orderer's choice. Ordered again under the same key within a day, by
however many at once, it is the same call, and the answer is the same; another order under it is
refused.
The call's id is made of the key, so that Asterisk, too, makes its first channel once.

What can be known before is looked at before: a call that the account may not make rings nobody. It
is routed, limited and recorded when the phone has been answered, as any call that enters.

Not for use on an event loop.
"""

import asyncio
import hashlib
import logging
from dataclasses import asdict, dataclass

import orjson
from django.conf import settings
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.base_user import AbstractBaseUser
from kombu.exceptions import OperationalError

from calls import ids
from calls.clock import wall_clock_ms
from calls.engine.nudges import Publisher, shared_queue
from calls.errors import CallError
from calls.machine.events import CallOrdered
from calls.models import Account, Trunk
from calls.routing.choice import Plan, Refusal
from calls.routing.numbers import DIALLABLE, shown
from calls.store.drains import read_drained
from calls.store.heartbeats import alive, heard_nodes
from calls.store.mailbox import Mailboxes, Ordered, connect
from calls.whatif.explanation import chosen
from calls.whatif.limit_steps import with_limits
from cdr.moments import moment_of
from cdr.record import Disposition

RING_TIMEOUT_S = 30
"""How long a phone rings unless it is said otherwise."""
LONGEST_KEY = 200
NOT_NOW = "it cannot be put through now"
IN_SHORT = {
    Disposition.BLOCKED: "this number is not called",
    Disposition.LIMITED: "a limit is reached",
    Disposition.NO_ROUTE: "no route leads to this number",
}

logger = logging.getLogger(__name__)


class CannotPlace(CallError):
    """The call cannot be placed. ``field`` is what of the order is to blame, '' for nothing."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


class WouldBeRefused(CannotPlace):
    """The account may not make this call now. The text is the decision's own, which may name
    entries of the blocklist with their notes, limits and trunks; ``in_short`` is for those who may
    not see them all."""

    def __init__(self, found: Refusal, account: str) -> None:
        super().__init__("number", f"The call would be refused: {found.reason}.")
        of_account = (f"account {account} ", f"the limit is reached: account {account}: ")
        about_number = found.disposition is Disposition.INVALID_NUMBER
        known = about_number or found.reason.startswith(of_account)
        why = found.reason if known else IN_SHORT.get(found.disposition, NOT_NOW)
        self.in_short = f"The call would be refused: {why}."


class Drained(CallError):
    """Nothing takes new calls now."""


class KeyTaken(CallError):
    """Another call was ordered under the same key."""


@dataclass(frozen=True, slots=True)
class NewCall:
    """What is ordered.

    ``phone`` is an endpoint of the account's; '' for none: then whoever answers hears a sound,
    which is for trying a trunk. ``number`` and ``caller`` are as people dial them, any text.
    ``caller`` '' shows the account's number. ``trunk`` is the one to go by, '' for the route's.
    ``node`` '' takes the first that is heard and not drained.
    """

    account: str
    phone: str
    number: str
    caller: str = ""
    trunk: str = ""
    node: str = ""
    ring_timeout_s: int = RING_TIMEOUT_S

    @property
    def digest(self) -> str:
        """By which the same order is known."""
        text = orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True, slots=True)
class Placed:
    """A call that is placed; ``now`` by this order, or before by the same one."""

    call: str
    now: bool


def place(new: NewCall, *, by: str, orderer: str, key: str) -> Placed:
    """Place the call, unless the same order has placed it before.

    ``by`` is who orders it, as its record will say; ``orderer`` tells whose ``key`` it is. Raises
    CannotPlace, Drained or KeyTaken, each with a sentence; django.db.Error, and redis.RedisError:
    then it may have been placed, and to order it again under the same key does no harm.
    """
    return asyncio.run(_known(new, orderer, key)) or _placed(new, by, orderer, key)


def record(user: AbstractBaseUser, new: NewCall, call: str, by: str) -> None:
    """Note in the admin's history who has placed the call; its own record says so too."""
    LogEntry.objects.create(
        user_id=user.pk,
        object_id=call,
        object_repr=f"call of {new.account} to {new.number}"[:200],
        action_flag=ADDITION,
        change_message=f"Placed call {call} by {by}.",
    )


async def _known(new: NewCall, orderer: str, key: str) -> Placed | None:
    """The call that was ordered under this key, if one was. Raises KeyTaken."""
    async with connect(settings.REDIS_URL) as client:
        known = await Mailboxes(client).ordered(_kept(orderer, key))
    return _same(new, known) if known is not None else None


def _placed(new: NewCall, by: str, orderer: str, key: str) -> Placed:
    node = _node(new)
    now_ms = wall_clock_ms()
    caller = _checked(new, now_ms)
    day = f"{moment_of(now_ms):%Y%m%d}"
    channel = ids.ordered_channel(orderer, key, day)
    call = ids.call_id(node, channel)
    event = CallOrdered(
        channel_id=channel,
        at_ms=now_ms,
        account_code=new.account,
        phone=new.phone,
        dialled=new.number,
        caller_number=caller,
        by=by,
        trunk=new.trunk,
        ring_timeout_s=new.ring_timeout_s,
    )
    return asyncio.run(_order(new, call, event, _kept(orderer, key)))


async def _order(new: NewCall, call: str, event: CallOrdered, kept: str) -> Placed:
    async with connect(settings.REDIS_URL) as client:
        mailboxes = Mailboxes(client, shared_queue())
        ordered = await mailboxes.order(call, event, kept, new.digest)
    if ordered.nudge:
        await asyncio.to_thread(_nudge, call)
    if ordered.begins:
        logger.info("Call %s: %s orders a call to %s.", call, event.by, shown(new.number))
    return _same(new, ordered)


def _same(new: NewCall, ordered: Ordered) -> Placed:
    if ordered.digest != new.digest:
        raise KeyTaken(
            f"Under this key another call was ordered, {ordered.call}: each call needs a key of "
            "its own."
        )
    return Placed(ordered.call, ordered.begins)


def _kept(orderer: str, key: str) -> str:
    return hashlib.sha256(f"{orderer}\n{key}".encode()).hexdigest()


def _nudge(call: str) -> None:
    publisher = Publisher()
    try:
        publisher.publish([call])
    except (OperationalError, OSError) as error:
        logger.warning("Call %s begins within a second: the broker takes no nudge: %s", call, error)
    finally:
        publisher.close()


def _node(new: NewCall) -> str:
    if new.node and new.node not in settings.ARI_NODES:
        raise CannotPlace("node", f"There is no node {shown(new.node)} in ARI_NODES.")
    drained = read_drained()
    if drained.switch is not None:
        raise Drained("The switch is drained and takes no new calls.")
    nodes = [each for each in settings.ARI_NODES if each not in drained.nodes]
    if new.node and new.node not in nodes:
        raise Drained(f"Node {new.node} is drained and takes no new calls.")
    if not nodes:
        raise Drained("No node takes new calls: ARI_NODES names none that is not drained.")
    if new.node or len(nodes) == 1:
        return new.node or nodes[0]
    heard = heard_nodes(alive())
    return next((each for each in nodes if each in heard), nodes[0])


def _checked(new: NewCall, now_ms: int) -> str:
    """The caller's number of an order that may be placed. Raises CannotPlace."""
    account = Account.objects.filter(code=new.account).first()
    if account is None or not account.enabled:
        what = "is disabled" if account else "does not exist"
        raise CannotPlace("account", f"Account {shown(new.account)} {what}.")
    if new.phone and new.phone not in account.phone_names:
        known = ", ".join(account.phone_names) or "none"
        raise CannotPlace(
            "phone",
            f"{shown(new.phone)} is no phone of account {account.code}: its phones are {known}.",
        )
    if not new.phone and not new.trunk:
        raise CannotPlace("phone", "Say which phone is to be called first.")
    if new.trunk and not Trunk.objects.filter(name=new.trunk).exists():
        raise CannotPlace("trunk", f"There is no trunk {shown(new.trunk)}.")
    if DIALLABLE.fullmatch(new.number) is None:
        raise CannotPlace("number", f"{shown(new.number)} is no number that can be dialled.")
    if new.caller and DIALLABLE.fullmatch(new.caller) is None:
        raise CannotPlace("caller", f"{shown(new.caller)} is no telephone number.")
    caller = new.caller or account.caller_id
    found = chosen(new.number, account=new.account, caller=caller, at_ms=now_ms, trunk=new.trunk)
    if isinstance(found, Plan) and not new.trunk:
        # A phone that rings takes no place yet: else one order after the other would ring it, only
        # for whoever answers to hear that there is no room. Who tries a trunk wants to hear that.
        found = with_limits(found, now_ms, lasting=True)
    if isinstance(found, Refusal):
        raise WouldBeRefused(found, account.code)
    return caller
