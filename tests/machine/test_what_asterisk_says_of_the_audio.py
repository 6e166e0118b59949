"""Quality from Asterisk's own words; what a far end had a hand in breaks nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.machine.media import mos_of, quality_of
from cdr.record import Quality

SPOKEN = (
    "ssrc=55519906;themssrc=77;lp=5;rxjitter=0.002500;rxcount=495;txjitter=0.000000;txcount=500;"
    "rlp=0;rtt=0.020000;rxmes=90.000000;txmes=0.000000"
)


def test_what_came_from_the_leg_is_its_quality():
    assert quality_of(SPOKEN) == Quality(mos=4.34, jitter_ms=2.5, loss_percent=1.0, rtt_ms=20.0)


def test_a_leg_from_which_nothing_came_has_no_quality():
    silent = SPOKEN.replace("rxcount=495", "rxcount=0")

    assert quality_of(silent) is None


def test_what_the_far_end_did_not_report_is_not_known():
    quality = quality_of("lp=0;rxjitter=0.0;rxcount=10;rtt=0.0;rxmes=0.0")

    assert quality == Quality(mos=None, jitter_ms=0.0, loss_percent=0.0, rtt_ms=None)


@pytest.mark.parametrize(
    "media", ["", "nonsense", ";;==", "rxcount=many", "rxcount=-3", "rxcount=inf", "rxcount=nan"]
)
def test_what_is_no_report_has_no_quality(media):
    assert quality_of(media) is None


@given(st.text(max_size=300))
def test_no_report_makes_it_fail(media):
    quality_of("rxcount=10;" + media)


@pytest.mark.parametrize(("r_value", "mos"), [(0, 1.0), (50, 2.58), (93.2, 4.41), (1000, 4.5)])
def test_the_score_follows_g107_annex_b(r_value, mos):
    assert mos_of(r_value) == mos
