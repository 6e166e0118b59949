"""The tests by which canaries are judged, held against published values and against chance."""

import random
from collections import Counter
from math import comb
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.canary.statistics import (
    fisher_fewer,
    least_difference,
    mean,
    median,
    one_in,
    rank_sum_greater,
    spent_at,
    superiority,
    wilson,
)

SMALL = st.integers(0, 40)


def test_fishers_lady_tasting_tea():
    """Fisher 1935: of four cups each, three right on both sides: 17 of 70 ways."""
    assert fisher_fewer(1, 4, 3, 4) == pytest.approx(17 / 70)
    assert fisher_fewer(0, 4, 4, 4) == pytest.approx(1 / 70)


@given(SMALL, SMALL, SMALL, SMALL)
def test_fishers_test_counts_the_ways(new_hits, new_misses, old_hits, old_misses):
    new, old, hits = new_hits + new_misses, old_hits + old_misses, new_hits + old_hits
    ways = sum(
        comb(hits, k) * comb(new + old - hits, new - k)
        for k in range(max(0, hits - old), new_hits + 1)
    )
    assert fisher_fewer(new_hits, new, old_hits, old) == pytest.approx(ways / comb(new + old, new))


def test_fishers_test_copes_with_a_million_calls():
    assert fisher_fewer(500_000, 1_000_000, 500_000, 1_000_000) == pytest.approx(0.5, abs=0.001)
    assert fisher_fewer(490_000, 1_000_000, 500_000, 1_000_000) < 1e-40


def test_hits_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="cannot be"):
        fisher_fewer(5, 4, 0, 4)


def test_the_rank_test_by_hand():
    """U = 15.5 of 25 pairs, one tie of two: variance 5 * 5 / 12 * (11 - 6 / 90)."""
    new, old = Counter([3, 5, 7, 9, 11]), Counter([2, 3, 6, 8, 10])
    assert superiority(new, old) == pytest.approx(15.5 / 25)
    z = (15.5 - 12.5 - 0.5) / (25 / 12 * (11 - 6 / 90)) ** 0.5
    assert rank_sum_greater(new, old) == pytest.approx(1 - NormalDist().cdf(z))


@given(st.dictionaries(st.integers(0, 9), st.integers(1, 50), min_size=1))
def test_what_is_alike_is_not_greater(counts):
    assert superiority(counts, counts) == pytest.approx(0.5)
    assert rank_sum_greater(counts, counts) >= 0.5


def test_values_that_are_all_the_same_or_none_say_nothing():
    assert rank_sum_greater({1.0: 50}, {1.0: 50}) == 1.0
    assert rank_sum_greater({}, {1.0: 50}) == 1.0


def test_the_rank_test_holds_its_level_by_chance():
    rng = random.Random(5)
    trials = 2_000
    alarms = sum(
        rank_sum_greater(
            Counter(round(rng.expovariate(1), 1) for _ in range(25)),
            Counter(round(rng.expovariate(1), 1) for _ in range(60)),
        )
        <= 0.05
        for _ in range(trials)
    )
    assert alarms / trials < 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


def test_newcombes_example():
    """Newcombe 1998, table II, 56/70 against 48/80: 0.0524 to 0.3339 at 95 % two-sided."""
    assert least_difference(56, 70, 48, 80, z=1.959964) == pytest.approx(0.0524, abs=5e-5)
    assert wilson(56, 70, 1.959964) == pytest.approx((0.6918, 0.8770), abs=5e-5)


def test_middle_values():
    assert median({1: 2, 5: 1}) == 1
    assert median({1: 1, 5: 1}) == 1
    assert mean({1: 3, 5: 1}) == 2
    with pytest.raises(ValueError, match="no value"):
        median({})


def test_all_looks_together_spend_what_there_is():
    assert sum(spent_at(look, 0.01) for look in range(1, 100_000)) == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(ValueError, match="from 1 on"):
        spent_at(0, 0.01)


def test_a_chance_in_words():
    assert one_in(0.00025) == "1 in 4,000"
    assert one_in(1 / 17_592_928) == "1 in 18,000,000"
    assert one_in(0.3) == "1 in 3"
    assert one_in(0.0) == "less than 1 in a million million"
