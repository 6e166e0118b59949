"""Ids are chosen: whatever was made for a call leads back to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import ids

NODES = st.from_regex(r"[a-z0-9-]+", fullmatch=True)
CHANNELS = st.from_regex(r"([a-z]{1,8}-)?[0-9]{10}\.[0-9]{1,6}", fullmatch=True)


@given(NODES, CHANNELS, st.integers(1, 99))
def test_everything_made_for_a_call_leads_back_to_it(node, channel, attempt):
    call = ids.call_id(node, channel)
    leg, bridge = ids.b_channel(channel, attempt), ids.bridge_of(channel)

    assert ids.split_call_id(call) == (node, channel)
    for made in (leg, f"{leg};1", f"{leg};2", bridge):
        assert ids.a_channel_of(made) == channel
        assert ids.is_created_by_us(made)
    assert ids.a_channel_of(channel) == channel
    assert not ids.is_created_by_us(channel)


def test_the_legs_of_one_call_have_different_ids():
    assert ids.b_channel("1.2", 1) != ids.b_channel("1.2", 2)


@pytest.mark.parametrize("text", ["", "demo", ":1.2", "demo:"])
def test_what_is_no_call_id_is_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match="is not a call id: it should look like"):
        ids.split_call_id(text)


@pytest.mark.parametrize("foreign", ["1763.12;2", "1763.12.b", "1763.12.bx", "x.brx", ".b1"])
def test_other_programs_channels_are_not_taken_for_ours(foreign):
    assert not ids.is_created_by_us(foreign)


def test_an_order_names_its_channel_the_same_each_time_and_another_otherwise():
    name = ids.ordered_channel("token:1", "key", "20261129")

    assert name == ids.ordered_channel("token:1", "key", "20261129")
    others = [
        ("token:2", "key", "20261129"),
        ("token:1", "k", "20261129"),
        ("token:1", "key", "20261130"),
    ]
    assert len({name, *(ids.ordered_channel(*other) for other in others)}) == 4
    assert ids.is_ordered(name)
    assert not ids.is_ordered("1763900000.1")
    assert not ids.is_created_by_us(name)
    assert ids.a_channel_of(ids.b_channel(name, 1)) == name
    assert ids.is_call_id(ids.call_id("pbx1", name))
