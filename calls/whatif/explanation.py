"""Why a call would go where it goes: the live path's own query and choice, with every step."""

from dataclasses import dataclass

from django.conf import settings

from calls.policy import policy
from calls.routing.choice import AccountRow, CallFacts, Plan, Refusal, Unproven, choose
from calls.routing.numbers import diallable
from calls.store.lookup import look_up, look_up_trunk, with_caller_blocks
from calls.whatif.limit_steps import with_limits


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was asked, and what would come of it now; ``found.steps`` say why."""

    facts: CallFacts
    found: Plan | Refusal

    @property
    def routed(self) -> bool:
        return isinstance(self.found, Plan)

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        found = self.found
        if isinstance(found, Plan):
            trunks = ", then ".join(each.trunk for each in found.targets if not each.skipped)
            return f"{found.callee} goes by route {found.route} to {trunks}."
        return f"Refused as {found.disposition} (cause {found.cause}): {found.reason}."


def explain(
    dialled: str, *, account: str, caller: str = "", at_ms: int, call_id: str = "explained"
) -> Explanation:
    """Decide a call that nobody makes, from the database as it is now.

    ``dialled`` and ``caller`` are numbers as a caller would send them, any text; ``at_ms`` is the
    moment in milliseconds since the epoch. Weights are drawn by ``call_id``: that of a real call
    draws as it did. Limits and trunks are as they stand now, whatever the moment. Raises
    django.db.DatabaseError or InterfaceError when the database fails.
    """
    facts = CallFacts(call_id, dialled, caller, (account,) if account else (), at_ms)
    found = _chosen(facts)
    return Explanation(facts, with_limits(found, at_ms) if isinstance(found, Plan) else found)


def chosen(
    dialled: str, *, account: str, caller: str, at_ms: int, trunk: str = ""
) -> Plan | Refusal:
    """The same without limits and how trunks stand: whether the account may make this call at all.

    ``trunk`` is the one to go by, '' for the route's.
    """
    return _chosen(CallFacts("ordered", dialled, caller, (account,), at_ms, trunk=trunk))


def _chosen(facts: CallFacts) -> Plan | Refusal:
    dialled, caller = diallable(facts.dialled), diallable(facts.caller_number)
    accounts, blocks, _ = look_up(facts.account_keys, dialled, caller)
    accounts = with_caller_blocks(accounts, blocks)
    only = look_up_trunk(facts.trunk) if facts.trunk else None
    others: dict[str, tuple[AccountRow, ...]] = {}
    while True:
        found = choose(
            facts,
            accounts,
            settings.MAX_CALL_S,
            policy=policy(),
            others=others,
            explain=True,
            only=only,
        )
        if not isinstance(found, Unproven):
            return found
        for number in found.numbers:
            others[number] = look_up(facts.account_keys, f"+{number}", None)[0]
