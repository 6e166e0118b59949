"""A change to a route's trunks that a part of its calls try before all others do. Pure.

Which part a call is in is drawn from its id: routed again after a crash, replayed or asked about,
it always falls the same way, and a call that tries the new trunks at 10 % tries them at 50 % too.
"""

from enum import StrEnum
from hashlib import blake2b

from calls.routing.rows import CanaryRow, RouteRow, TargetRow
from calls.routing.steps import Mark, Step, Topic


class Arm(StrEnum):
    """Which trunks a call tries; in records behind the canary's number, ``7:new``."""

    OLD = "old"
    NEW = "new"


def draw(canary_id: int, call_id: str) -> float:
    """From 0 up to 100, evenly, for each canary anew: below the share the call is a new one."""
    digest = blake2b(f"{call_id}/canary {canary_id}".encode(), digest_size=8).digest()
    # 53 bits, what a float holds: with more the highest would round up to 100.
    return (int.from_bytes(digest) >> 11) * 100 / 2**53


def arm_of(canary: CanaryRow, call_id: str) -> Arm:
    """The arm that this call is in."""
    return Arm.NEW if draw(canary.canary_id, call_id) < canary.share else Arm.OLD


def mark(canary_id: int, arm: Arm) -> str:
    """How a record names the arm of its call."""
    return f"{canary_id}:{arm}"


def targets_for(
    route: RouteRow, call_id: str, trail: list[Step] | None
) -> tuple[tuple[TargetRow, ...], str]:
    """The trunks of the route that this call may try, and how its record names its arm ('' where
    the route has no canary)."""
    canary = route.canary
    if canary is None:
        return route.targets, ""
    arm = arm_of(canary, call_id)
    if trail is not None:
        drew = f"drew {draw(canary.canary_id, call_id):.4f} of 100"
        trail.append(
            Step(
                Topic.CANARY,
                f"canary {canary.canary_id}",
                Mark.FOUND if arm is Arm.NEW else Mark.PASSED_OVER,
                f"{drew}: is among the {canary.share} % of calls that try the new trunks"
                if arm is Arm.NEW
                else f"{drew}: the old trunks, as {canary.share} % of calls try the new ones",
            )
        )
    return canary.targets if arm is Arm.NEW else route.targets, mark(canary.canary_id, arm)
