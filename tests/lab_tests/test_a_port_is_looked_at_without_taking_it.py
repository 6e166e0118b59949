"""A lab that waits for a program's port must not stand in the program's way."""

import socket

import pytest

from tests.lab.ports import LOOPBACK, free_port, udp_port_taken


def test_a_taken_udp_port_is_seen_as_taken_until_it_is_given_back() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
        program.bind((LOOPBACK, 0))
        port = program.getsockname()[1]
        assert udp_port_taken(port)
    assert not udp_port_taken(port)


def test_looking_at_a_port_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port(socket.SOCK_DGRAM)

    def no_socket(*arguments: object, **options: object) -> None:
        raise AssertionError("a port that is tried is taken for that moment")

    monkeypatch.setattr(socket, "socket", no_socket)
    assert not udp_port_taken(port)
