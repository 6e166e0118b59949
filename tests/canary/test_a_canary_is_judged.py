"""When new trunks are worse with confidence, and that looking again and again is no reason."""

import random
from collections import Counter

import pytest

from calls.canary.judging import ALPHA, Sample, look_is_due, why_not_up, why_worse


def sample(calls, answered, wait_ms=None, mos=None):
    return Sample(
        calls,
        answered,
        {float(wait_ms): answered} if wait_ms is not None else {},
        {mos: answered} if mos is not None else {},
    )


def spread(rng, calls, asr, wait_ms=1000, mos=4.2):
    """Calls as they come: answered by chance, waits and sound around a middle."""
    answered = sum(rng.random() < asr for _ in range(calls))
    waits = Counter(round(rng.gauss(wait_ms, 300) / 20) * 20.0 for _ in range(answered))
    sound = Counter(round(min(4.5, rng.gauss(mos, 0.2)), 2) for _ in range(answered))
    return Sample(calls, answered, dict(waits), dict(sound))


def together(one, other):
    return Sample(
        one.calls + other.calls,
        one.answered + other.answered,
        dict(Counter(one.waits_ms) + Counter(other.waits_ms)),
        dict(Counter(one.mos) + Counter(other.mos)),
    )


def test_trunks_that_answer_nothing_are_known_from_the_tenth_call():
    assert look_is_due(sample(10, 0), sample(10, 9), 0)
    why = why_worse(sample(10, 0), sample(10, 9), look=1)
    assert why.startswith("ASR 0 % of 10 calls against 90 % of 10 (Fisher's exact test: by chance")


def test_a_few_calls_that_fail_are_no_reason():
    assert why_worse(sample(10, 4), sample(10, 7), look=1) == ""


def test_a_difference_that_nobody_would_mind_is_none_however_certain():
    assert why_worse(sample(10**6, 490_000), sample(10**6, 510_000), look=1) == ""
    assert why_worse(sample(10**6, 450_000), sample(10**6, 510_000), look=1)


def test_callers_who_wait_longer_are_a_reason():
    rng = random.Random(1)
    slow, quick = spread(rng, 400, 0.6, wait_ms=1500), spread(rng, 400, 0.6, wait_ms=1000)
    assert why_worse(slow, quick, look=3).startswith("PDD 1.5 s against 1.0 s in the median")
    assert why_worse(quick, slow, look=3) == ""


def test_worse_sound_is_a_reason():
    rng = random.Random(2)
    bad, good = spread(rng, 400, 0.6, mos=3.6), spread(rng, 400, 0.6, mos=4.2)
    assert why_worse(bad, good, look=3).startswith("MOS 3.59 against 4.19")
    assert why_worse(good, bad, look=3) == ""


def test_sound_that_nobody_measured_is_no_reason():
    assert why_worse(sample(300, 150, 800), sample(300, 150, 800), look=1) == ""


def test_better_trunks_are_never_worse():
    assert why_worse(sample(500, 450, 500, 4.4), sample(500, 200, 900, 3.9), look=1) == ""


@pytest.mark.parametrize(
    ("smaller", "judged", "due"),
    [(9, 0, False), (10, 0, True), (12, 10, False), (13, 10, True), (124, 100, False)],
)
def test_it_is_looked_at_again_when_there_is_something_new(smaller, judged, due):
    assert look_is_due(sample(smaller, 1), sample(1000, 500), judged) is due


def test_looking_again_and_again_raises_no_false_alarms():
    """Three hundred canaries that are no worse, each looked at from 10 calls to 3,000."""
    rng = random.Random(20261129)
    alarms = 0
    for _ in range(300):
        new, old, looks, judged = Sample(), Sample(), 0, 0
        while new.calls < 3_000:
            grown = max(10, new.calls // 4 + 1)
            new = together(new, spread(rng, grown, 0.5))
            old = together(old, spread(rng, grown, 0.5))
            assert look_is_due(new, old, judged)
            looks, judged = looks + 1, new.calls
            if why_worse(new, old, looks):
                alarms += 1
                break
    # 300 * ALPHA are 3 at most; nine would come once in a thousand times.
    assert alarms <= 300 * ALPHA + 6


def test_it_steps_up_after_enough_calls_that_were_no_worse():
    assert why_not_up(sample(199, 100), sample(900, 450), 200) == (
        "199 of 200 calls by the new trunks"
    )
    assert why_not_up(sample(300, 150), sample(900, 450), 200) == ""
    assert "no call by the old trunks" in why_not_up(sample(300, 150), Sample(), 200)


def test_it_does_not_step_up_while_it_may_be_much_worse():
    assert why_not_up(sample(200, 84), sample(900, 450), 200) == (
        "the new ASR may be 14 % lower still; it waits until that is 10 % at most"
    )
