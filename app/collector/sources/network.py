"""Where a request may go. A name is resolved once, every address is judged, and the connection goes to a judged address: a
name that answers otherwise the next time (DNS rebinding) changes nothing.

Permitted are public addresses, and what the settings permit. Forms that carry an IPv4 address within (RFC 4291, 6052, 3056,
4380) are judged by both. Special ranges: the IANA registries, listed here where Python 3.11 does not know them all.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import httpcore

from collector.sources import SourceError
from collector.sources.settings import Network, SourceSettings

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Iterable[str]]]
SocketOptions = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, texts))


PRIVATE = networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
METADATA = networks(
    "169.254.169.254", "169.254.169.253", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::/32"
)  # fmt: skip
SPECIAL = networks(
    "0.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "224.0.0.0/3",
    "::/8", "64:ff9b::/96", "64:ff9b:1::/48", "100::/32", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
    "fc00::/6",
)  # fmt: skip
GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64, SIX_TO_FOUR, TEREDO = networks("64:ff9b::/96", "2002::/16", "2001::/32")
LAST_32_BITS = (IPv6Network("::/96"), NAT64)


def inside(address: Address, some: Iterable[Network]) -> bool:
    return any(address in network for network in some)


def judged(text: str, host: str, settings: SourceSettings) -> Address:
    """The address to connect to. Raises SourceError if it is not permitted."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if not all(permitted(each, host, settings) for each in faces(address)):
        raise SourceError(f"{host} lies at {address}: this network is not permitted (setting source_networks)")
    return address


def faces(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 address that it carries."""
    yield address
    if isinstance(address, IPv6Address):
        if inside(address, LAST_32_BITS):
            yield IPv4Address(int(address) & 0xFFFFFFFF)
        elif address in SIX_TO_FOUR:
            yield IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
        elif address in TEREDO:
            yield IPv4Address(~int(address) & 0xFFFFFFFF)


def permitted(address: Address, host: str, settings: SourceSettings) -> bool:
    if inside(address, settings.source_networks_refused):
        return False
    if inside(address, METADATA):
        return ip_network(address) in settings.source_networks
    if inside(address, settings.source_networks):
        return True
    known = {name.lower().rstrip(".") for name in settings.source_hosts}
    return public(address) or (inside(address, PRIVATE) and host.lower().rstrip(".") in known)


def public(address: Address) -> bool:
    special = inside(address, SPECIAL) or address.is_multicast or address.is_reserved
    return address.is_global and not special and (address.version == 4 or address in GLOBAL_UNICAST)


async def system_resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Guarded(httpcore.AsyncNetworkBackend):
    """Connects to judged addresses only. TLS and Host keep the name."""

    def __init__(self, settings: SourceSettings, resolve: Resolve) -> None:
        self.settings, self.resolve, self.inner = settings, resolve, httpcore.AnyIOBackend()

    async def addresses(self, host: str, port: int) -> list[Address]:
        """All of them permitted. One that is not spoils the name: it may be the one that the next look-up gives."""
        try:
            found = await self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host}: no address") from error
        return list(dict.fromkeys(judged(text, host, self.settings) for text in found))

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface has it so
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        last: Exception = httpcore.ConnectError(f"{host}: no address")
        async with asyncio.timeout(timeout):
            for address in await self.addresses(host, port):
                try:
                    return await self.inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
                except httpcore.ConnectError as error:
                    last = error
        raise last

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
