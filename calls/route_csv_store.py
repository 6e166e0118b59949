"""Lists of routes in the database: what is there, what an import changes, and the change itself.

Everything goes by the thousand: rows are read by key, written by bulk operations in one
transaction, and the workers are told once, after the commit.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from django.db import IntegrityError, models, transaction

from calls import config_version
from calls.errors import CallError
from calls.models import Account, Route, RouteTarget, Trunk
from calls.route_csv import (
    Deck,
    Diff,
    Key,
    RouteSpec,
    TargetSpec,
    Tick,
    compare,
    parse,
    to_lines,
)

BATCH = 1_000
"""Rows in one statement; SQLite takes 32,766 parameters, of which a row needs up to ten."""

UPDATED = ("action", "enabled", "note", "valid_from", "valid_until", "schedule")
"""Fields in which a route may change and still be the same."""

Progress = Callable[[str, int], Tick]
"""Begins a stage, by its name and its number of lines or routes, and gives who is told of each."""


Item = TypeVar("Item")


class ImportRefused(CallError):
    """An import that would do harm, or that met a change made at the same time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written, and the primary keys of the rows it concerns."""

    diff: Diff
    ids: dict[Key, int] = field(default_factory=dict)


def quiet(stage: str, number: int) -> Tick:
    """Show no progress."""
    return lambda done: None


def read(text: str, progress: Progress = quiet) -> Deck:
    """Parse a file against the accounts and trunks there are. Raises FileRefused."""
    accounts = set(Account.objects.values_list("code", flat=True))
    trunks = set(Trunk.objects.values_list("name", flat=True))
    return parse(text, accounts, trunks, progress("Reading the file", text.count("\n")))


def plan(deck: Deck, *, delete_missing: bool = False, progress: Progress = quiet) -> Plan:
    """What importing the deck would change now; nothing is changed.

    With ``delete_missing``, routes that the deck does not have are removed. Raises ImportRefused
    where that would remove routes by mistake: when the deck is empty or has bad lines.
    """
    if delete_missing and deck.errors:
        raise ImportRefused(
            "Routes that are missing in the file can be deleted only when all its lines are good: "
            "the routes of the bad lines would be deleted too."
        )
    if delete_missing and not deck.routes:
        raise ImportRefused(
            "The file has no routes, so deleting those that are missing in it would delete all."
        )
    tick = progress("Comparing", len(deck.routes))
    ids: dict[Key, int] = {}
    existing: dict[Key, RouteSpec] = {}
    for keys in _batches(deck.routes, BATCH):
        prefixes = {prefix for prefix, _ in keys}
        for route_id, spec in _stored(Route.objects.filter(prefix__in=prefixes)):
            if spec.key in deck.routes:
                ids[spec.key] = route_id
                existing[spec.key] = spec
        tick(len(keys))
    removed = dict(_missing(deck)) if delete_missing else {}
    ids |= {spec.key: route_id for route_id, spec in removed.items()}
    return Plan(compare(deck, existing, removed.values()), ids)


def carry_out(
    deck: Deck,
    *,
    delete_missing: bool = False,
    expected: str | None = None,
    progress: Progress = quiet,
) -> Diff:
    """Import the deck's good routes in one transaction and tell the workers; return what changed.

    ``expected`` is the digest of the changes that somebody agreed to. Raises ImportRefused where
    they are others by now, and where another change came between.
    """
    try:
        with transaction.atomic():
            planned = plan(deck, delete_missing=delete_missing, progress=progress)
            if expected is not None and planned.diff.digest() != expected:
                raise ImportRefused(
                    "Routes have been changed since the preview was made, so this import would "
                    "change others than it showed. Look at the new preview."
                )
            if planned.diff:
                _write(planned, progress)
                transaction.on_commit(config_version.bump)
    except IntegrityError as error:
        raise ImportRefused(
            "A route, account or trunk of this file was changed by somebody else at the same "
            f"time, so nothing was imported; import it again. ({str(error).splitlines()[0]})"
        ) from error
    return planned.diff


def export(routes: "models.QuerySet[Route]") -> Iterator[str]:
    """The routes as lines of CSV, read through a server-side cursor as they are asked for."""
    ordered = routes.prefetch_related(None).order_by("prefix", "account__code")
    return to_lines(spec for _, spec in _stored(ordered))


def _write(planned: Plan, progress: Progress) -> None:
    diff, ids = planned.diff, planned.ids
    trunks = dict(Trunk.objects.values_list("name", "pk"))
    accounts = dict(Account.objects.values_list("code", "pk"))

    def row(spec: RouteSpec) -> Route:
        return Route(
            pk=ids.get(spec.key),
            prefix=spec.prefix,
            account_id=accounts[spec.account] if spec.account else None,
            action=spec.action,
            enabled=spec.enabled,
            note=spec.note,
            valid_from=spec.valid_from,
            valid_until=spec.valid_until,
            schedule=spec.schedule,
        )

    def targets(pairs: Iterable[tuple[int, RouteSpec]]) -> Iterator[RouteTarget]:
        for route_id, spec in pairs:
            for target in spec.targets:
                yield RouteTarget(
                    route_id=route_id,
                    trunk_id=trunks[target.trunk],
                    priority=target.priority,
                    weight=target.weight,
                    strip_digits=target.strip_digits,
                    add_prefix=target.add_prefix,
                )

    number = len(diff.added) + len(diff.changed) + len(diff.removed)
    tick = progress("Writing", number)
    for removed in _batches(diff.removed, BATCH):
        gone = [ids[spec.key] for spec in removed]
        _delete(RouteTarget.objects.filter(route_id__in=gone))
        _delete(Route.objects.filter(pk__in=gone))
        tick(len(removed))
    for changed in _batches(diff.changed, BATCH):
        # An INSERT that meets its own primary key: ten times as fast as bulk_update's CASE WHEN.
        Route.objects.bulk_create(
            [row(new) for _, new in changed],
            update_conflicts=True,
            unique_fields=["pk"],
            update_fields=UPDATED,
        )
        moved = [(ids[new.key], new) for old, new in changed if old.targets != new.targets]
        _delete(RouteTarget.objects.filter(route_id__in=[route_id for route_id, _ in moved]))
        RouteTarget.objects.bulk_create(targets(moved), batch_size=BATCH)
        tick(len(changed))
    for added in _batches(diff.added, BATCH):
        made = Route.objects.bulk_create([row(spec) for spec in added])
        new = zip((route.pk for route in made), added, strict=True)
        RouteTarget.objects.bulk_create(targets(new), batch_size=BATCH)
        tick(len(added))


def _delete(rows: "models.QuerySet") -> None:
    # QuerySet.delete() would fetch every row for the signals that tell the workers, one by one.
    rows._raw_delete(rows.db)


def _stored(routes: "models.QuerySet[Route]") -> Iterator[tuple[int, RouteSpec]]:
    """The routes with their primary keys, in the query's order."""
    rows = routes.values_list("pk", "prefix", "account__code", *UPDATED)
    for batch in _batches(rows.iterator(chunk_size=BATCH), BATCH):
        targets = _targets([row[0] for row in batch])
        for route_id, prefix, account, *updated in batch:
            found = tuple(sorted(targets.get(route_id, ())))
            values = dict(zip(UPDATED, updated, strict=True))
            yield route_id, RouteSpec(prefix, account or "", targets=found, **values)


def _targets(route_ids: Collection[int]) -> dict[int, list[TargetSpec]]:
    found: dict[int, list[TargetSpec]] = {}
    rows = RouteTarget.objects.filter(route_id__in=route_ids).order_by()
    for route_id, priority, trunk, weight, strip, add in rows.values_list(
        "route_id", "priority", "trunk__name", "weight", "strip_digits", "add_prefix"
    ):
        target = TargetSpec(priority, trunk, weight, strip, add)
        found.setdefault(route_id, []).append(target)
    return found


def _missing(deck: Deck) -> Iterator[tuple[int, RouteSpec]]:
    keys = Route.objects.order_by().values_list("pk", "prefix", "account__code")
    gone = (
        route_id
        for route_id, prefix, account in keys.iterator(chunk_size=BATCH)
        if (prefix, account or "") not in deck.routes
    )
    for batch in _batches(list(gone), BATCH):
        yield from _stored(Route.objects.filter(pk__in=batch).order_by("prefix", "account__code"))


def _batches(items: Iterable[Item], size: int) -> Iterator[Sequence[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
