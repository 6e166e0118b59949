"""The SIP of a call as a capture file that other tools read."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from calls.story.pcap import pcap
from calls.story.sip import SipMessage


def message(source="127.0.0.1:5061", target="127.0.0.1:5060", text="INVITE sip:x SIP/2.0\r\n\r\n"):
    return SipMessage(1_763_900_000_123_456, source, target, "a@b", text)


def test_a_message_is_one_udp_packet_of_its_time():
    data = pcap([message()])
    magic, _, _, _, _, _, link = struct.unpack_from("!IHHiIII", data)
    seconds, micros, length, whole = struct.unpack_from("!IIII", data, 24)
    packet = data[40:]

    assert (magic, link) == (0xA1B2C3D4, 101)
    assert (seconds, micros) == (1_763_900_000, 123_456)
    assert length == whole == len(packet)
    assert (packet[0], packet[9]) == (0x45, 17)
    assert packet[12:20] == bytes([127, 0, 0, 1] * 2)
    assert struct.unpack_from("!HH", packet, 20) == (5061, 5060)
    assert packet[28:] == b"INVITE sip:x SIP/2.0\r\n\r\n"


def test_ip_6_has_its_own_head():
    packet = pcap([message("[::1]:5061", "[::1]:5060")])[40:]

    assert (packet[0] >> 4, packet[6]) == (6, 17)
    assert len(packet) == 40 + 8 + 24


def test_what_has_no_address_is_left_out():
    assert pcap(
        [message("nowhere"), message("[::1]:1", "127.0.0.1:1"), message("1.2.3.4:99999")]
    ) == (pcap([]))


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_message_makes_it_fail(source, target, text):
    pcap([message(source, target, text)])
