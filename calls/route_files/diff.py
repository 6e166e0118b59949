"""What importing a file changes, route by route, for those who have to agree to it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

from calls.models import Route
from calls.route_files.reading import Deck
from calls.route_files.spec import COLUMNS, Key, RouteSpec
from calls.route_files.writing import targets_text, texts_of, time_text
from calls.text import printable


@dataclass(frozen=True, slots=True)
class Diff:
    """What an import changes: routes added, changed (from, to) and removed, and how many stay."""

    added: tuple[RouteSpec, ...] = ()
    changed: tuple[tuple[RouteSpec, RouteSpec], ...] = ()
    removed: tuple[RouteSpec, ...] = ()
    unchanged: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        return (
            f"{len(self.added):,} added, {len(self.changed):,} changed, "
            f"{len(self.removed):,} removed, {self.unchanged:,} unchanged"
        )

    def lines(self, most: int) -> Iterator[str]:
        """The first *most* changes as text, with ``+``, ``~`` or ``-`` in front."""
        return (printable(line) for line in islice(self._lines(), most))

    def _lines(self) -> Iterator[str]:
        for spec in self.added:
            yield f"+ {spec.name}: {_described(spec)}"
        for old, new in self.changed:
            yield f"~ {new.name}: {_difference(old, new)}"
        for spec in self.removed:
            yield f"- {spec.name}: {_described(spec)}"

    def digest(self) -> str:
        """The same for the same changes only."""
        hashed = blake2b(digest_size=16)
        for line in self._lines():
            hashed.update(line.encode())
            hashed.update(b"\0")
        return hashed.hexdigest()


def compare(
    deck: Deck, existing: Mapping[Key, RouteSpec], removed: Iterable[RouteSpec] = ()
) -> Diff:
    """What importing the deck changes. ``existing`` holds at least those routes that are in it;
    ``removed`` are those that the import takes away."""
    added, changed, unchanged = [], [], 0
    for key, spec in deck.routes.items():
        old = existing.get(key)
        if old is None:
            added.append(spec)
        elif (new := deck.completed(spec, old)) != old:
            changed.append((old, new))
        else:
            unchanged += 1
    return Diff(tuple(added), tuple(changed), tuple(removed), unchanged)


def _described(spec: RouteSpec) -> str:
    parts = [spec.action if spec.action == Route.Action.BLOCK else targets_text(spec)]
    parts += [] if spec.enabled else ["disabled"]
    parts += [f"from {time_text(spec.valid_from)}"] if spec.valid_from else []
    parts += [f"until {time_text(spec.valid_until)}"] if spec.valid_until else []
    parts += [f"schedule {spec.schedule}"] if spec.schedule else []
    parts += [f"note {spec.note!r}"] if spec.note else []
    return ", ".join(parts)


def _difference(old: RouteSpec, new: RouteSpec) -> str:
    before, after = texts_of(old), texts_of(new)
    return ", ".join(
        f"{column} {before[column] or 'none'} → {after[column] or 'none'}"
        for column in COLUMNS
        if before[column] != after[column]
    )
