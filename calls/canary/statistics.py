"""The tests by which a canary is judged. Pure.

Values come as counts by value, so that a million calls cost no more than their distinct values.
All tests are one-sided: they ask whether the new side is worse.
"""

from collections.abc import Mapping
from math import erfc, exp, floor, lgamma, log10, pi, sqrt

Counts = Mapping[float, int]
"""How often each value was seen."""

Z_95 = 1.6448536269514722
"""The normal distribution's 95 % point, one-sided."""


def fisher_fewer(new_hits: int, new: int, old_hits: int, old: int) -> float:
    """Fisher's exact test (1935): how likely are so few hits among the new ones, or fewer, where
    both sides hit alike?

    Exact for any size, given all hits together; a share that differs the other way gives near 1.
    """
    hits, everybody = new_hits + old_hits, new + old
    lowest = max(0, hits - old)
    if new_hits < lowest or new_hits > min(hits, new):
        raise ValueError(f"{new_hits} hits of {new} and {old_hits} of {old} cannot be")
    # Of the hypergeometric distribution, from the observed hits down.
    term = exp(
        _log_choose(hits, new_hits)
        + _log_choose(everybody - hits, new - new_hits)
        - _log_choose(everybody, new)
    )
    total, count = 0.0, new_hits
    while count >= lowest and term > 0:
        total += term
        if term < total * 1e-12:
            # What is left falls faster than a geometric series.
            break
        term *= count * (everybody - hits - new + count) / ((hits - count + 1) * (new - count + 1))
        count -= 1
    return min(1.0, total)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def rank_sum_greater(new: Counts, old: Counts) -> float:
    """The Mann-Whitney U test (1947): how likely are the new values so much greater, where both
    sides have one distribution?

    By the normal approximation with the correction for ties and for continuity, good from about 20
    values a side on.
    """
    n, m = sum(new.values()), sum(old.values())
    total = n + m
    if not n or not m:
        return 1.0
    ties = sum(count**3 - count for count in _together(new, old).values())
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    z = (superiority(new, old) * n * m - n * m / 2 - 0.5) / sqrt(variance)
    return 0.5 * erfc(z / sqrt(2))


def superiority(new: Counts, old: Counts) -> float:
    """The chance that a new value is greater than an old one, ties counted half."""
    below, pairs = 0, 0.0
    for value in sorted(_together(new, old)):
        here = old.get(value, 0)
        pairs += new.get(value, 0) * (below + here / 2)
        below += here
    return pairs / (sum(new.values()) * below)


def _together(new: Counts, old: Counts) -> dict[float, int]:
    return {value: new.get(value, 0) + old.get(value, 0) for value in {*new, *old}}


def median(counts: Counts) -> float:
    """The lower median of at least one value."""
    left = (sum(counts.values()) + 1) // 2
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    raise ValueError("there is no value")


def mean(counts: Counts) -> float:
    """The mean of at least one value."""
    return sum(value * count for value, count in counts.items()) / sum(counts.values())


def wilson(hits: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a share (1927)."""
    share, square = hits / count, z * z
    centre = share + square / (2 * count)
    spread = z * sqrt(share * (1 - share) / count + square / (4 * count * count))
    scale = 1 + square / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def least_difference(new_hits: int, new: int, old_hits: int, old: int, z: float = Z_95) -> float:
    """How much the new share differs from the old one at least, with 95 % confidence, one-sided:
    Newcombe's hybrid score interval (1998, his method 10)."""
    new_share, old_share = new_hits / new, old_hits / old
    low = wilson(new_hits, new, z)[0]
    high = wilson(old_hits, old, z)[1]
    return new_share - old_share - sqrt((new_share - low) ** 2 + (high - old_share) ** 2)


def spent_at(look: int, alpha: float) -> float:
    """The part of *alpha* that may be spent at the look of this number, from 1 on.

    Looks again and again find something by chance sooner or later. The parts 6 / (pi k)^2 add up
    to one over any number of looks, so that by Boole's inequality all of them together raise a
    false alarm with a chance of *alpha* at most, however the looks depend on each other: a
    Bonferroni correction with unequal weights, spent as Lan and DeMets (1983) spend theirs.
    """
    if look < 1:
        raise ValueError("looks are counted from 1 on")
    return alpha * 6 / (pi * look) ** 2


def one_in(p: float) -> str:
    """A chance in words, to two digits: ``1 in 4,000``."""
    if p < 1e-12:
        return "less than 1 in a million million"
    digits = 1 - floor(log10(1 / p))
    return f"1 in {round(1 / p, min(0, digits)):,.0f}"
