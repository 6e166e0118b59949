"""The course of a canary: begun, from share to share, taken over, or back.

    begin(canary)            # its trunks are saved; the route's are noted as they were
    take_over(canary, why)   # its trunks become the route's
    go_back(canary, why)     # the route's trunks take all calls again
    look()                   # judges what runs, as the records worker does each minute

Each is written with why, so that the audit log has it, and tells workers at once.
"""

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from calls.canary import judging
from calls.canary.figures import samples
from calls.canary.judging import Sample
from calls.errors import CallError
from calls.models import Canary, Route, RouteTarget, Trunk
from calls.models.canaries import SHARES, TARGET_FIELDS, plain_targets, targets_of
from cdr.errors import database_away
from cdr.rounds import in_rounds

EVERY_S = 60.0

logger = logging.getLogger(__name__)


class NotPossible(CallError):
    """A canary that cannot do what is asked; the text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look at one canary, in words; ``ended`` or ``stepped`` if it did."""

    canary: Canary
    sentence: str
    moved: bool = False


def begin(canary: Canary) -> None:
    """Note how the route was; to be called once the canary and its trunks are saved."""
    canary.before = targets_of(canary.route)
    canary.tried = plain_targets(canary.targets.all())
    canary.save()


def set_share(canary: Canary, share: int) -> None:
    """Another share begins: calls are compared from now on."""
    canary.share = share
    canary.stage_at = timezone.now()
    canary.judged_calls = 0
    canary.found = {}
    canary.save()


def take_over(canary: Canary, why: str, by: str = "") -> None:
    """The canary's trunks become the route's, for all calls; ``by`` whom, or by itself.

    Raises NotPossible.
    """
    with transaction.atomic():
        canary = _locked(canary)
        tried = plain_targets(canary.targets.all())
        if targets_of(canary.route) != canary.before:
            raise NotPossible(
                f"The trunks of route {canary.route} were changed since canary {canary.pk} began: "
                "they are not overwritten. Let it go back, and begin another one."
            )
        _put(canary.route, tried)
        _end(canary, Canary.State.TAKEN_OVER, tried, why, by)


def go_back(canary: Canary, why: str, by: str = "") -> None:
    """All calls take the route's own trunks again; ``by`` whom, or by itself.

    Raises NotPossible.
    """
    with transaction.atomic():
        canary = _locked(canary)
        _end(canary, Canary.State.WENT_BACK, plain_targets(canary.targets.all()), why, by)


def restore(canary: Canary, by: str) -> None:
    """Give a route the trunks back that it had before a canary was taken over.

    Raises NotPossible where they were changed since, or a trunk is no more.
    """
    with transaction.atomic():
        if canary.state != Canary.State.TAKEN_OVER:
            raise NotPossible(f"Canary {canary.pk} was never taken over.")
        if targets_of(canary.route) != canary.tried:
            raise NotPossible(
                f"The trunks of route {canary.route} were changed since canary {canary.pk} was "
                "taken over: set them by hand."
            )
        _put(canary.route, canary.before)
        canary.state = Canary.State.WENT_BACK
        canary.why = f"{canary.why} Given up later: the route has its trunks of before."[:500]
        canary.ended_by = by
        canary.save()


def _locked(canary: Canary) -> Canary:
    """The row as it is now, ours until the transaction ends."""
    row = Canary.objects.select_for_update().get(pk=canary.pk)
    if not row.is_running:
        raise NotPossible(f"Canary {row.pk} has ended: it {row.get_state_display()}.")
    return row


def _end(
    canary: Canary, state: "Canary.State", tried: list[dict[str, Any]], why: str, by: str
) -> None:
    canary.state = state
    canary.ended_at = timezone.now()
    canary.why = why[:500]
    canary.ended_by = by
    canary.tried = tried
    canary.save()
    # A trunk that was tried once need not stay for ever.
    for target in canary.targets.all():
        target.delete()


def _put(route: Route, targets: Iterable[dict[str, Any]]) -> None:
    """Make these the route's trunks, one by one, as the audit log has them."""
    wanted = {target["trunk"]: target for target in targets}
    trunks = {trunk.name: trunk for trunk in Trunk.objects.filter(name__in=wanted)}
    gone = sorted(wanted.keys() - trunks.keys())
    if gone:
        raise NotPossible(f"There is no trunk {', '.join(gone)} any more.")
    for row in RouteTarget.objects.filter(route=route).select_related("trunk"):
        target = wanted.pop(row.trunk.name, None)
        if target is None:
            row.delete()
        elif any(getattr(row, name) != target[name] for name in TARGET_FIELDS):
            for name in TARGET_FIELDS:
                setattr(row, name, target[name])
            row.save()
    for name, target in wanted.items():
        values = {field: target[field] for field in TARGET_FIELDS}
        RouteTarget.objects.create(route=route, trunk=trunks[name], **values)


# --- Looking --------------------------------------------------------------------------------------


def look(now: datetime | None = None) -> list[Looked]:
    """Judge every running canary once. Raises django.db.Error."""
    now = now or timezone.now()
    found = []
    for pk in list(Canary.objects.filter(state=Canary.State.RUNNING).values_list("pk", flat=True)):
        try:
            with transaction.atomic():
                # Of two workers the second one finds what the first one did.
                canary = Canary.objects.select_for_update().filter(pk=pk).first()
                if canary is None or not canary.is_running:
                    continue
                looked = _look_at(canary, now)
        except NotPossible as error:
            logger.error("Canary %d stays as it is: %s", pk, error)
            continue
        found.append(looked)
        if looked.moved:
            logger.warning("%s: %s", canary, looked.sentence)
    return found


def _look_at(canary: Canary, now: datetime) -> Looked:
    if targets_of(canary.route) != canary.before:
        why = "The route's own trunks were changed by somebody: there is nothing to compare with."
        go_back(canary, why)
        return Looked(canary, why, moved=True)
    new, old = samples(canary.pk, canary.stage_at)
    looks, judged_calls = canary.looks, canary.judged_calls
    if judging.look_is_due(new, old, judged_calls):
        looks, judged_calls = looks + 1, min(new.calls, old.calls)
        worse = judging.why_worse(new, old, looks)
        if worse:
            _note(canary, now, new, old, looks, judged_calls, worse)
            why = f"At {canary.share} % of the calls the new trunks were worse: {worse}."
            go_back(canary, why)
            return Looked(canary, f"went back by itself. {why}", moved=True)
    waits_for = judging.why_not_up(new, old, canary.enough)
    _note(canary, now, new, old, looks, judged_calls, waits_for)
    if waits_for or not canary.steps_up:
        return Looked(canary, waits_for or "is no worse, and may step up by hand")
    return _step_up(canary, new)


def _step_up(canary: Canary, new: Sample) -> Looked:
    share = SHARES[SHARES.index(canary.share) + 1]
    if share < 100:
        set_share(Canary.objects.get(pk=canary.pk), share)
        return Looked(canary, f"stepped up to {share} % of the calls", moved=True)
    why = f"By itself: {new.calls:,} calls at {canary.share} % were no worse."
    take_over(canary, why)
    return Looked(canary, f"was taken over. {why}", moved=True)


def _note(
    canary: Canary,
    now: datetime,
    new: Sample,
    old: Sample,
    looks: int,
    judged_calls: int,
    said: str,
) -> None:
    """Keep what a look found; without a signal, as no call goes elsewhere for it."""
    found = {"new": dict(new.plain), "old": dict(old.plain), "said": said}
    Canary.objects.filter(pk=canary.pk).update(
        looks=looks, judged_calls=judged_calls, looked_at=now, found=found
    )


class CanaryWatch:
    """Looks again and again, in a thread of the records worker."""

    def run(self, stop: threading.Event) -> None:
        """Look every `EVERY_S` seconds until ``stop`` is set."""
        in_rounds(
            look,
            stop,
            EVERY_S,
            lambda error: logger.error("Canaries could not be judged: %s", database_away(error)),
        )
