"""Nothing is told to an address that only this machine or its network reaches."""

import asyncio
import ipaddress
import socket
import threading

import pytest

from calls.webhooks.addresses import Forbidden, Resolver, check_host, guarded_socket, is_allowed
from calls.webhooks.request import Courier
from tests.webhooks.receiver import Receiver

PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
    *("240.0.0.1", "192.88.99.1", "::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1"),
    *("fec0::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::", "2001:0:a00:1::"),
    *("100::1", "3fff::1", "5f00::1"),
]
PUBLIC = ["9.9.9.9", "203.0.114.1", "2606:4700::1111", "64:ff9b::909:909", "::ffff:9.9.9.9"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_told_nothing(address):
    assert not is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_told(address):
    assert is_allowed(ipaddress.ip_address(address), ())


def test_a_private_network_is_told_where_a_setting_names_it():
    allowed = (ipaddress.ip_network("10.1.0.0/16"),)
    assert is_allowed(ipaddress.ip_address("10.1.2.3"), allowed)
    assert is_allowed(ipaddress.ip_address("::ffff:10.1.2.3"), allowed)
    assert not is_allowed(ipaddress.ip_address("10.2.2.3"), allowed)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "::ffff:169.254.169.254"])
def test_an_address_in_place_of_a_name_is_looked_at_too(host):
    with pytest.raises(Forbidden, match="WEBHOOK_ALLOW_PRIVATE"):
        check_host(host, ())


class Names:
    """A name server that gives these addresses, one list after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def resolve(self, host, port, family):
        found = self.answers.pop(0)
        return [
            {"hostname": host, "host": each, "port": port, "family": 2, "proto": 6, "flags": 0}
            for each in found
        ]

    async def close(self):
        pass


async def test_one_private_address_of_a_name_is_enough():
    resolver = Resolver(())
    await resolver._inner.close()
    resolver._inner = Names(["9.9.9.9"], ["9.9.9.9", "10.0.0.1"])
    assert [each["host"] for each in await resolver.resolve("a.example")] == ["9.9.9.9"]
    with pytest.raises(Forbidden, match=r"a\.example \(10\.0\.0\.1\)"):
        await resolver.resolve("a.example")


@pytest.fixture
def over_http(settings):
    settings.WEBHOOK_ALLOW_HTTP = True


async def attempt(url, allowed=()):
    courier = Courier(tuple(map(ipaddress.ip_network, allowed)))
    try:
        return await courier.attempt(url, b"{}", {})
    finally:
        await courier.close()


async def test_a_name_of_this_machine_is_not_even_connected_to(over_http):
    with Receiver() as receiver:
        outcome = await attempt(f"http://localhost:{receiver.port}/")
        assert "is in a private network" in outcome.problem
        assert receiver.requests == 0


async def test_a_number_that_means_this_machine_is_not_connected_to(over_http):
    with Receiver() as receiver:
        for host in ("127.1", "2130706433", "0x7f000001", "0"):
            outcome = await attempt(f"http://{host}:{receiver.port}/")
            assert not outcome.ok
        assert receiver.requests == 0


@pytest.mark.parametrize(
    "host",
    [
        "127\u30020\u30020\u30021",
        "\uff11\uff12\uff17.0.0.1",
        "\u2460\u2461\u2466.0.0.1",
        "127.0.0.1.",
        "\uff4cocalhost",
    ],
    ids=[
        "ideographic stops",
        "wide digits",
        "circled digits",
        "a stop at its end",
        "a wide letter",
    ],
)
async def test_an_address_in_other_letters_is_looked_at_as_the_client_reads_it(over_http, host):
    with Receiver() as receiver:
        outcome = await attempt(f"http://{host}:{receiver.port}/")
        assert receiver.requests == 0
        assert not outcome.ok


def test_the_last_look_is_at_what_is_connected_to():
    found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
    with pytest.raises(Forbidden, match=r"127\.0\.0\.1 is in a private network"):
        guarded_socket((), found)
    with guarded_socket((ipaddress.ip_network("127.0.0.0/8"),), found) as made:
        assert made.family == socket.AF_INET


async def test_a_name_that_is_never_answered_keeps_no_other_from_being_resolved(
    over_http, monkeypatch
):
    answered, real = threading.Event(), socket.getaddrinfo

    def resolve(host, *args, **more):
        if host == "silent.example":
            answered.wait(30)
            raise socket.gaierror("no answer")
        return real("127.0.0.1", *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    courier = Courier((ipaddress.ip_network("127.0.0.0/8"),))
    silent = [
        asyncio.create_task(courier.attempt("http://silent.example/", b"{}", {}))
        for _ in range(100)
    ]
    await asyncio.sleep(0)
    try:
        with Receiver() as receiver:
            url = f"http://hooks.example:{receiver.port}/"
            outcome = await courier.attempt(url, b"{}", {})
            assert (outcome.status, receiver.requests) == (401, 1)
    finally:
        answered.set()
        await asyncio.gather(*silent)
        await courier.close()


async def test_a_name_is_resolved_once_so_a_second_answer_changes_nothing(over_http, monkeypatch):
    asked = []
    real = socket.getaddrinfo

    def resolve(host, *args, **more):
        asked.append(host)
        return real("127.0.0.1", *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with Receiver() as receiver:
        outcome = await attempt(f"http://hooks.example:{receiver.port}/", ["127.0.0.0/8"])
        assert outcome.status == 401
        assert receiver.requests == 1
    assert asked.count("hooks.example") == 1


async def test_a_redirect_is_not_followed(over_http, settings):
    with Receiver() as inner, Receiver() as outer:
        outer.take = lambda headers, body: (302, {"Location": inner.url}, b"")
        outcome = await attempt(outer.url, ["127.0.0.1/32"])
        assert outcome.problem == "It answered 302, and a redirect is not followed"
        assert inner.requests == 0


async def test_nothing_goes_over_http_unless_a_setting_allows_it(settings):
    settings.WEBHOOK_ALLOW_HTTP = False
    with Receiver() as receiver:
        outcome = await attempt(receiver.url, ["127.0.0.1/32"])
        assert "WEBHOOK_ALLOW_HTTP" in outcome.problem
        assert receiver.requests == 0


async def test_an_answer_without_end_is_not_read_to_its_end(over_http):
    with Receiver() as receiver:
        receiver.take = lambda headers, body: (200, {}, b"x" * 10_000_000)
        outcome = await attempt(receiver.url, ["127.0.0.1/32"])
        assert (outcome.ok, outcome.answer) == (True, "x" * 500)
