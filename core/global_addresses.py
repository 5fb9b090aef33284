"""Which IP addresses belong to the public internet.

Python's own `is_global` answers yes for addresses that carry a private one inside (6to4, NAT64,
ISATAP), for multicast and for Azure's metadata, and its tables change with its version.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

LINK_LOCAL = "a link-local address, where clouds have their metadata"
METADATA = "the metadata service of a cloud"
_OF_V4 = {
    "0.0.0.0/8": "this machine itself",
    "10.0.0.0/8": "a private address",
    "100.64.0.0/10": "an address inside a carrier's or cloud's network",
    "127.0.0.0/8": "this machine itself",
    "168.63.129.16/32": METADATA,
    "169.254.0.0/16": LINK_LOCAL,
    "172.16.0.0/12": "a private address",
    "192.0.0.0/24": "a reserved address",
    "192.0.2.0/24": "an address for documentation",
    "192.88.99.0/24": "a relay between IP versions",
    "192.168.0.0/16": "a private address",
    "198.18.0.0/15": "an address for benchmarks",
    "198.51.100.0/24": "an address for documentation",
    "203.0.113.0/24": "an address for documentation",
    "224.0.0.0/4": "a multicast address",
    "240.0.0.0/4": "a reserved address",
}
# Of what is allotted at all, 2000::/3.
_OF_V6 = {
    "2001::/23": "a reserved address",
    "2001:db8::/32": "an address for documentation",
    "2002::/16": "a relay between IP versions",
    "3fff::/20": "an address for documentation",
}
_ALLOTTED = IPv6Network("2000::/3")
_LINK_LOCAL = IPv6Network("fe80::/10")
_UNIQUE_LOCAL = IPv6Network("fc00::/7")
_NAT64 = IPv6Network("64:ff9b::/96")
_V4 = [(IPv4Network(network), what) for network, what in _OF_V4.items()]
_V6 = [(IPv6Network(network), what) for network, what in _OF_V6.items()]
# The upper half of an ISATAP interface identifier; the lower half is an IPv4 address.
_ISATAP = {0x00005EFE, 0x02005EFE}


def why_not_global(text: str) -> str:
    """What an address is that no stranger may send us to; empty for one of the public internet.

    Raises ValueError when `text` is no address.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        return _why_not_v6(address)
    return _why_not_v4(address)


def _why_not_v4(address: IPv4Address) -> str:
    for network, what in _V4:
        if address in network:
            return what
    return "" if address.is_global else "a reserved address"


def _why_not_v6(address: IPv6Address) -> str:
    if address.is_loopback or address.is_unspecified:
        return "this machine itself"
    if address.ipv4_mapped is not None:
        return _why_not_v4(address.ipv4_mapped)
    if address in _NAT64:
        return _why_not_v4(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _LINK_LOCAL:
        return LINK_LOCAL
    if address in _UNIQUE_LOCAL:
        return "a private address"
    if address not in _ALLOTTED or not address.is_global:
        return "a reserved address"
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return "a relay between IP versions"
    return next((what for network, what in _V6 if address in network), "")
