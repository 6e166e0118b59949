"""Packed texts come back, and nothing else is taken for one."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr.packing import _DICTIONARIES, pack, unpack


@given(st.binary(max_size=5_000))
def test_a_text_comes_back(text):
    assert unpack(pack(text)) == text


def test_what_repeats_from_call_to_call_costs_little():
    usual = b'["done",1763900000124,1763900000125,["create_channel","1763900000.1.b1","1763900000.1'

    assert len(pack(usual)) < len(usual) / 2


@pytest.mark.parametrize("packed", [b"", b"\x00", b"\xff123", b"\x01nonsense"])
def test_what_was_never_packed_is_refused(packed):
    with pytest.raises(ValueError, match="no packed text"):
        unpack(packed)


def test_a_text_packed_by_the_first_version_can_still_be_read():
    """Whoever changes its dictionary makes every stored trace unreadable."""
    assert unpack(bytes.fromhex("018b46aa0b80293b361600")) == b'[["doubted",0,1]]'


def test_a_dictionary_that_was_used_stays_as_it_is():
    assert zlib.crc32(_DICTIONARIES[1]) == 2835294438
