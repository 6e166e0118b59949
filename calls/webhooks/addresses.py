"""Which addresses may be told something: public ones, and private networks that a setting names.

Whoever may enter a webhook could else make this machine ask what only it reaches: Asterisk, Redis,
a cloud's metadata. A name is resolved once, each of its addresses is looked at, and the connection
goes to one of those: a name server that answers otherwise the second time is not asked again.
"""

import asyncio
import ipaddress
import socket
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOKUPS = 64
"""Names looked up at the same time, each in a thread."""
LOOKUPS_A_NAME = 2

_EMBEDDING = ipaddress.ip_network("64:ff9b::/96")
"""NAT64 (RFC 6052): the last four bytes are the IPv4 address that is reached."""
_NEVER_PUBLIC = tuple(
    ipaddress.ip_network(each)
    for each in (
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)
"""What not all of Python's versions count among the private ones (IANA's special registries)."""


class Forbidden(Exception):
    """An address that nothing is told; its text is a sentence."""


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether something may be told there."""
    if any(address.version == each.version and address in each for each in allowed):
        return True
    inner = _inner(address)
    if inner is not None:
        return is_allowed(inner, allowed)
    special = address.is_private or address.is_multicast or address.is_reserved
    # Interface-scoped and link-local ones are not global either.
    if special or not address.is_global:
        return False
    return not any(address.version == each.version and address in each for each in _NEVER_PUBLIC)


def _inner(address: Address) -> Address | None:
    """The IPv4 address that one of IPv6 stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _EMBEDDING:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def guarded_socket(allowed: Sequence[Network], found: aiohttp.AddrInfoType) -> socket.socket:
    """A socket for the address that is about to be connected to, the last to look at it.

    Raises Forbidden.
    """
    family, kind, proto, _, (host, *_) = found
    address = ipaddress.ip_address(host)
    if not is_allowed(address, allowed):
        raise Forbidden(_sentence(str(address)))
    return socket.socket(family, kind, proto)


def check_host(host: str, allowed: Sequence[Network]) -> None:
    """Raises Forbidden where the host is an address that is told nothing; names come later."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return
    if not is_allowed(address, allowed):
        raise Forbidden(_sentence(str(address)))


def _sentence(what: str) -> str:
    return (
        f"{what} is in a private network, which is told nothing. If it is yours, name it in "
        "WEBHOOK_ALLOW_PRIVATE"
    )


class Resolver(AbstractResolver):
    """Resolves names, and gives addresses only if every one of them may be told something.

    A look-up holds a thread until the name server answers, long after who asked has given up. So
    each name has few of the threads: one that is never answered keeps no other from being asked.
    """

    def __init__(self, allowed: Sequence[Network]) -> None:
        """Within a running loop, whose own threads are few."""
        self._allowed = allowed
        self._inner: AbstractResolver = aiohttp.ThreadedResolver()
        self._places: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(LOOKUPS_A_NAME)
        )
        threads = ThreadPoolExecutor(LOOKUPS, "names")
        asyncio.get_running_loop().set_default_executor(threads)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """As aiohttp asks for it. Raises Forbidden, and OSError when there is no such name."""
        places = self._places[host]
        await places.acquire()

        def leave(lookup: asyncio.Future[list[ResolveResult]]) -> None:
            places.release()
            if not lookup.cancelled():
                # Perhaps nobody waits for it any more.
                lookup.exception()

        lookup = asyncio.ensure_future(self._inner.resolve(host, port, family))
        lookup.add_done_callback(leave)
        found = await asyncio.shield(lookup)
        for each in found:
            # A scope id (fe80::1%eth0) names an interface of ours.
            address = ipaddress.ip_address(each["host"].partition("%")[0])
            if not is_allowed(address, self._allowed):
                raise Forbidden(_sentence(f"{host} ({address})"))
        return found

    async def close(self) -> None:
        await self._inner.close()
