"""What the directory finds in the database for one call, as frozen values."""

from dataclasses import dataclass
from enum import StrEnum

from calls.routing.numbers import ANY_PLAN, NumberingPlan


class CallerIdPolicy(StrEnum):
    """Whose number a trunk is shown as the caller's."""

    PASS = "pass"  # noqa: S105 - no password
    """The caller's own, normalised."""
    FIXED = "fixed"
    """The trunk's."""
    ACCOUNT = "account"
    """The account's; the trunk's where the account has none; else nobody's."""
    ANONYMOUS = "anonymous"
    """Nobody's."""


class Side(StrEnum):
    """Whose number a blocklist entry is about."""

    CALLEE = "callee"
    CALLER = "caller"
    NO_CALLER = "none"
    """Of callers without a number, or with one that is none; its prefix is empty."""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A trunk that a route names. ``route_…`` is what the route rewrites before the trunk does."""

    trunk: str
    dial_string: str
    enabled: bool
    ring_timeout_s: int
    strip_digits: int
    add_prefix: str
    caller_id: str
    priority: int
    weight: int
    caller_id_policy: str = CallerIdPolicy.PASS
    rewrite_match: str = ""
    rewrite_replace: str = ""
    route_strip_digits: int = 0
    route_add_prefix: str = ""
    tech_prefix: str = ""
    """Goes in front of the number last; the carrier takes it off before it reads the number."""
    country_code: str = ""
    international_prefix: str = ""
    national_prefix: str = ""
    """How the trunk reads numbers; without a country code, as the calling account's people dial."""


@dataclass(frozen=True, slots=True)
class CanaryRow:
    """Trunks that ``share`` percent of a route's calls try in place of its own."""

    canary_id: int
    share: int
    targets: tuple[TargetRow, ...]


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route whose prefix begins the number, with its targets.

    It holds from ``valid_from_ms`` until before ``valid_until_ms`` (milliseconds since the epoch,
    None for no bound) and within ``schedule``.
    """

    route_id: int
    prefix: str
    own: bool
    """Whether it belongs to the calling account alone."""
    block: bool
    targets: tuple[TargetRow, ...]
    enabled: bool = True
    valid_from_ms: int | None = None
    valid_until_ms: int | None = None
    schedule: str = ""
    canary: CanaryRow | None = None

    def label(self, account: str) -> str:
        """The route as records name it: ``49 (acme)``, ``default (all)``."""
        return f"{self.prefix or 'default'} ({account if self.own else 'all'})"


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A blocklist entry whose prefix begins the number of that side."""

    block_id: int
    side: str
    prefix: str
    own: bool
    enabled: bool
    note: str

    def label(self, account: str) -> str:
        """The entry as records name it: ``callee 4490 (all): premium``."""
        what = f"{self.side} {self.prefix}" if self.prefix else "caller without a number"
        named = f"{what} ({account if self.own else 'all'})"
        return f"{named}: {self.note}" if self.note else named


@dataclass(frozen=True, slots=True)
class AccountRow:
    """The calling account with the routes and the blocklist entries that could serve the call."""

    code: str
    enabled: bool
    max_call_s: int | None
    routes: tuple[RouteRow, ...]
    numbering: NumberingPlan = ANY_PLAN
    time_zone: str = "UTC"
    caller_id: str = ""
    blocks: tuple[BlockRow, ...] = ()
    allowed_prefixes: tuple[str, ...] | None = None
    """With which numbers called must begin, short numbers apart; None for any."""
    allowed_callers: tuple[str, ...] = ()
    """With which numbers its callers may be shown must begin; none for any."""
    refuse_unchecked: bool = False
    """Whether a call is refused when nobody can tell whether its caller is blocked."""
