"""Lists of routes in the database: what is there, what an import changes, and the change itself.

Everything goes by the thousand: rows are read by key, written by bulk operations in one
transaction, and the workers are told once, after the commit.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from django.db import IntegrityError, connections, models, router, transaction

from calls.errors import CallError
from calls.models import Account, Route, RouteTarget, Trunk
from calls.models.changes import Change
from calls.route_files.diff import Diff, compare
from calls.route_files.reading import Deck, Tick, parse
from calls.route_files.spec import Key, RouteSpec, TargetSpec
from calls.route_files.writing import line_of, texts_of, to_lines
from calls.store import config_version
from calls.store.changes import BulkAudit, Written, differing
from cdr.errors import first_line

AUDIT_KIND = "file of routes"
"""Marks entries of the audit log whose values are those of a file's columns."""
BATCH = 1_000
"""Rows in one statement; SQLite takes 32,766 parameters, of which a row needs up to nine."""

UPDATED = ("action", "enabled", "note", "valid_from", "valid_until", "schedule")
"""Fields in which a route may change and still be the same."""

_TARGET = "(%s, %s, %s, %s, %s, %s)"
_PUT_TARGETS = """
INSERT INTO calls_routetarget (route_id, trunk_id, priority, weight, strip_digits, add_prefix)
VALUES {rows}
ON CONFLICT (route_id, trunk_id) DO UPDATE
   SET priority = excluded.priority, weight = excluded.weight,
       strip_digits = excluded.strip_digits, add_prefix = excluded.add_prefix
"""

Progress = Callable[[str, int], Tick]
"""Begins a stage, by its name and its number of lines or routes, and gives who is told of each."""


Item = TypeVar("Item")


class ImportRefused(CallError):
    """An import that would do harm, or that met a change made at the same time."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be written, and the primary keys of the rows it concerns."""

    diff: Diff
    ids: dict[Key, int] = field(default_factory=dict)


def quiet(stage: str, number: int) -> Tick:
    """Show no progress."""
    return lambda done: None


def read(text: str, progress: Progress = quiet, most_errors: int | None = None) -> Deck:
    """Parse a file against the accounts and trunks there are. Raises FileRefused.

    After ``most_errors`` bad lines the rest is not read.
    """
    accounts = set(Account.objects.values_list("code", flat=True))
    trunks = set(Trunk.objects.values_list("name", flat=True))
    return parse(
        text, accounts, trunks, progress("Reading the file", text.count("\n")), most_errors
    )


def draft(deck: Deck, *, delete_missing: bool = False, progress: Progress = quiet) -> Draft:
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
    return Draft(compare(deck, existing, removed.values()), ids)


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
    if not deck.whole:
        raise ImportRefused(
            f"{len(deck.errors):,} lines are bad, and the rest was not read, so nothing can be "
            "imported: correct the file."
        )
    try:
        with transaction.atomic():
            drafted = draft(deck, delete_missing=delete_missing, progress=progress)
            if expected is not None and drafted.diff.digest() != expected:
                raise ImportRefused(
                    "Routes have been changed since the preview was made, so this import would "
                    "change others than it showed. Look at the new preview."
                )
            if drafted.diff:
                _write(drafted, progress)
                transaction.on_commit(config_version.bump)
    except IntegrityError as error:
        raise ImportRefused(
            "A route, account or trunk of this file was changed by somebody else at the same "
            f"time, so nothing was imported; import it again. ({first_line(error)})"
        ) from error
    return drafted.diff


def export(routes: "models.QuerySet[Route]") -> Iterator[str]:
    """The routes as lines of CSV, read through a server-side cursor as they are asked for."""
    ordered = routes.prefetch_related(None).order_by("prefix", "account__code")
    return to_lines(spec for _, spec in _stored(ordered))


class _Ids(dict[str, int]):
    """Primary keys by the name in the file."""

    def __missing__(self, name: str) -> int:
        raise ImportRefused(
            f"The account or trunk {name!r} was renamed or deleted while the file was read, so "
            "nothing was imported; import it again."
        )


def _write(draft: Draft, progress: Progress) -> None:
    diff, ids = draft.diff, draft.ids
    trunks = _Ids(Trunk.objects.values_list("name", "pk"))
    accounts = _Ids(Account.objects.values_list("code", "pk"))

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

    audit = BulkAudit(Route, AUDIT_KIND)
    tick = progress("Writing", len(diff.added) + len(diff.changed) + len(diff.removed))
    for removed in _batches(diff.removed, BATCH):
        gone = [ids[spec.key] for spec in removed]
        _delete(RouteTarget.objects.filter(route_id__in=gone))
        _delete(Route.objects.filter(pk__in=gone))
        audit.note(_written(ids[spec.key], spec, None) for spec in removed)
        tick(len(removed))
    for changed in _batches(diff.changed, BATCH):
        # An INSERT that meets its own primary key: bulk_update would write a CASE for each field
        # with a branch for each row.
        Route.objects.bulk_create(
            [row(new) for _, new in changed],
            update_conflicts=True,
            unique_fields=["pk"],
            update_fields=UPDATED,
        )
        _change_targets([(ids[new.key], old, new) for old, new in changed], trunks)
        audit.note(_written(ids[new.key], old, new) for old, new in changed)
        tick(len(changed))
    for added in _batches(diff.added, BATCH):
        made = Route.objects.bulk_create([row(spec) for spec in added])
        pairs = list(zip(made, added, strict=True))
        _put_targets(
            ((route.pk, target) for route, spec in pairs for target in spec.targets), trunks
        )
        audit.note(_written(route.pk, None, spec) for route, spec in pairs)
        tick(len(added))


def _written(pk: int, old: RouteSpec | None, new: RouteSpec | None) -> Written:
    """A route for the audit log, with the values as a file has them."""
    action = Change.Action.UPDATE if old and new else Change.Action.CREATE
    if new is None:
        action = Change.Action.DELETE
    values = differing(texts_of(old) if old else {}, texts_of(new) if new else {})
    if not (old and new):
        # A new row's empty values say nothing, and a hundred thousand of them a lot.
        values = {name: pair for name, pair in values.items() if any(pair)}
    return Written(pk, (new or old).name, action, values)  # type: ignore[union-attr]  # one is there


def revert(change: Change) -> Diff:
    """Give the imported route the values it had before this change, as an import would.

    Raises ImportRefused where the route has been changed since, and where the old values can no
    longer be had.
    """
    found = next(_stored(Route.objects.filter(pk=change.object_id or 0)), None)
    now = texts_of(found[1]) if found else {}
    if not found or any(now.get(name) != after for name, (_, after) in change.changes.items()):
        raise ImportRefused(
            "This route has been changed since, or is gone; only the last change is reverted."
        )
    before = now | {name: old for name, (old, _) in change.changes.items()}
    deck = read("".join(line_of(before)))
    if deck.errors:
        raise ImportRefused(
            f"The values of before are no longer possible: {deck.errors[0].reason}."
        )
    return carry_out(deck)


def _change_targets(changed: Iterable[tuple[int, RouteSpec, RouteSpec]], trunks: _Ids) -> None:
    """Take off the routes' trunks that are no longer theirs, and write those that differ."""
    off: defaultdict[str, list[int]] = defaultdict(list)
    put: list[tuple[int, TargetSpec]] = []
    for route_id, old, new in changed:
        kept = {target.trunk for target in new.targets}
        for target in old.targets:
            if target.trunk not in kept:
                off[target.trunk].append(route_id)
        before = set(old.targets)
        put += [(route_id, target) for target in new.targets if target not in before]
    for trunk, route_ids in off.items():
        _delete(RouteTarget.objects.filter(trunk_id=trunks[trunk], route_id__in=route_ids))
    _put_targets(put, trunks)


def _put_targets(pairs: Iterable[tuple[int, TargetSpec]], trunks: _Ids) -> None:
    """Write trunks of routes, new or not, by plain SQL: objects would cost half of an import."""
    with connections[router.db_for_write(RouteTarget)].cursor() as cursor:
        for some in _batches(pairs, BATCH):
            values = [
                value
                for route_id, target in some
                for value in (
                    route_id,
                    trunks[target.trunk],
                    target.priority,
                    target.weight,
                    target.strip_digits,
                    target.add_prefix,
                )
            ]
            cursor.execute(_PUT_TARGETS.format(rows=", ".join([_TARGET] * len(some))), values)


def _delete(rows: "models.QuerySet[Any]") -> None:
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
