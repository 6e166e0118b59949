"""Reading what was counted, as Prometheus would."""

from collections.abc import Iterable

from prometheus_client import REGISTRY, Metric


class Readings:
    """What this process's counters have grown by since this was made."""

    def __init__(self) -> None:
        self._before = _samples(REGISTRY.collect())

    def grown(self, name: str, **labels: str) -> float:
        """By how much all samples of that name, with these labels among theirs, have grown."""
        now = _samples(REGISTRY.collect())
        return _sum(now, name, labels) - _sum(self._before, name, labels)


def value(families: Iterable[Metric], name: str, **labels: str) -> float | None:
    """The sum of the samples of that name with these labels among theirs; None without any."""
    found = _samples(families)
    return _sum(found, name, labels) if any(_is(one, name, labels) for one in found) else None


_Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _samples(families: Iterable[Metric]) -> _Samples:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in families
        for one in family.samples
    }


def _sum(samples: _Samples, name: str, labels: dict[str, str]) -> float:
    return sum(value for one, value in samples.items() if _is(one, name, labels))


def _is(one: tuple[str, frozenset[tuple[str, str]]], name: str, labels: dict[str, str]) -> bool:
    return one[0] == name and labels.items() <= dict(one[1]).items()
