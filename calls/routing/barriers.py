"""What keeps a number from being called: asked for the number that was dialled and for every number
that a trunk may read in what it is sent, so that no rewriting leads around it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from calls.routing import nanp
from calls.routing.numbers import is_own_short, prefixes_of
from calls.routing.rows import AccountRow, BlockRow, RouteRow, Side
from calls.routing.schedules import ScheduleError, read_schedule
from cdr.moments import moment_of


class Unreadable(Exception):
    """What decides about a number cannot be told: a route that would be next has a schedule or a
    time zone that cannot be read, or the account has gone since its routes were read."""


@dataclass(slots=True)
class Barriers:
    """What an account may not reach. ``others``: its rows for numbers other than the one dialled,
    None where it was looked for and is no more.

    ``missing`` gathers the numbers that were asked for and have no rows yet.
    """

    account: AccountRow
    callee: str
    at_ms: int
    others: Mapping[str, AccountRow | None]
    missing: dict[str, None] = field(default_factory=dict)
    free: dict[str, None] = field(default_factory=dict)
    """Numbers that nothing keeps the account from."""

    def bar(self, number: str) -> str:
        """What keeps the account from reaching this number, as part of a sentence; '' if nothing.

        Raises Unreadable where a route that would decide cannot be read, and where the account was
        renamed or deleted between two questions: asked again, it would be missing for ever.
        """
        rows = self.account if number == self.callee else self.others.get(number)
        if rows is None and number in self.others:
            raise Unreadable(
                f"account {self.account.code} is no more, it was renamed or deleted while the call "
                "was looked up"
            )
        if rows is None:
            self.missing[number] = None
            return ""
        block = callee_block(rows, number)
        if block is not None:
            return f"blocklist entry {block.label(self.account.code)}"
        if not allowed(self.account, number):
            return not_allowed(self.account, number)
        route = next(
            (route for route, why_not in routes_for(rows, number, self.at_ms) if not why_not), None
        )
        if route is not None and route.block:
            return f"route {route.label(self.account.code)} blocks it"
        self.free[number] = None
        return ""


def callee_block(rows: AccountRow, number: str) -> BlockRow | None:
    """The enabled blocklist entry for calls to this number, the longest first."""
    fitting = (
        block
        for block in rows.blocks
        if block.enabled and block.side == Side.CALLEE and number.startswith(block.prefix)
    )
    return max(fitting, key=lambda block: (len(block.prefix), block.own), default=None)


def allowed(account: AccountRow, number: str) -> bool:
    """Whether the account may call numbers that begin so. Short numbers are its plan's own."""
    if account.allowed_prefixes is None or is_own_short(number, account.numbering):
        return True
    return number.startswith(account.allowed_prefixes)


def not_allowed(account: AccountRow, number: str) -> str:
    """The sentence's part that says so."""
    which = ", ".join(nanp.in_words(account.allowed_prefixes or ())) or "none"
    return f"account {account.code} may not call {number}: its allowed prefixes are {which}"


def routes_for(rows: AccountRow, number: str, at_ms: int) -> Iterator[tuple[RouteRow, str]]:
    """The routes for this number, the longest prefix first and of each the account's own first,
    with why each does not hold now, '' if it does. Raises Unreadable."""
    by_prefix: dict[str, list[RouteRow]] = {}
    for route in rows.routes:
        by_prefix.setdefault(route.prefix, []).append(route)
    for prefix in reversed(prefixes_of(number)):
        for route in sorted(by_prefix.get(prefix, ()), key=lambda route: not route.own):
            yield route, why_not_now(route, rows, at_ms)


def why_not_now(route: RouteRow, account: AccountRow, at_ms: int) -> str:
    """Why the route does not hold now; '' if it does. Raises Unreadable."""
    if not route.enabled:
        return "is disabled"
    if route.valid_from_ms is not None and at_ms < route.valid_from_ms:
        return f"is not valid before {_utc(route.valid_from_ms)}"
    if route.valid_until_ms is not None and at_ms >= route.valid_until_ms:
        return f"was valid until {_utc(route.valid_until_ms)}"
    if not route.schedule:
        return ""
    try:
        local = moment_of(at_ms, ZoneInfo(account.time_zone))
        if read_schedule(route.schedule).covers(local):
            return ""
    except ScheduleError as error:
        label = route.label(account.code)
        raise Unreadable(f"route {label} has a schedule that cannot be read: {error}") from error
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Unreadable(
            f"account {account.code} has a time zone that is not known here: {account.time_zone!r}"
        ) from error
    return f"is outside its schedule {route.schedule} ({local:%a %H:%M} in {account.time_zone})"


def _utc(at_ms: int) -> str:
    return f"{moment_of(at_ms):%Y-%m-%d %H:%M:%S} UTC"
