"""What anybody may send who can reach a port, or who forges packets on the path (RFC 9000 §21)."""

import random

from rules.frames import PING, crypto, tls, varint
from rules.row import INITIAL, STAYS_OPEN, Row, transport

SILENCE = frozenset(["silence"])
NEGOTIATION = frozenset(["version negotiation"])
# A stateless reset, which is smaller than what it answers (RFC 9000 §10.3.3).
RESET_OR_SILENCE = frozenset(["reset", "silence"])
V1 = 1
UNKNOWN = 0x5A6A7A8A
ID = b"stranger"
_random = random.Random(9000)


def long_header(
    kind: int, version: int = V1, destination: bytes = ID, source: bytes = ID, fixed: bool = True,
) -> bytes:
    """The part that all versions have in common (RFC 8999 §5.1); `kind` is the packet's type in v1."""
    first = 0x80 | fixed << 6 | kind << 4 | 3
    header = bytes([first]) + version.to_bytes(4, "big")
    return header + bytes([len(destination)]) + destination + bytes([len(source)]) + source


def filled(header: bytes, size: int = 1200) -> bytes:
    """A packet with this header and garbage up to `size` bytes."""
    return header + _random.randbytes(max(0, size - len(header)))


def initial(size: int = 1200, token: bytes = b"\x00", length: int = 0, **keywords) -> bytes:
    header = long_header(0, **keywords) + token
    claimed = length or max(1, size - len(header) - 2)
    return filled(header + (0x4000 | claimed & 0x3FFF).to_bytes(2, "big"), size)


def negotiation(destination: bytes, source: bytes, *versions: int) -> bytes:
    """Version Negotiation (RFC 9000 §17.2.1)."""
    listed = b"".join(version.to_bytes(4, "big") for version in versions)
    return long_header(0, 0, destination, source) + listed


def retry(destination: bytes, source: bytes, token: bytes) -> bytes:
    """Retry with an integrity tag that is wrong (RFC 9001 §5.8)."""
    return long_header(3, V1, destination, source) + token + bytes(16)


def raw(*datagrams: bytes):
    return lambda: list(datagrams)


TO_SERVER = [
    Row("empty datagrams", "RFC 9000 §5.2", SILENCE, datagrams=raw(*[b""] * 50)),
    Row("datagrams of 1 to 20 bytes", "RFC 9000 §5.2", SILENCE,
        datagrams=raw(*[filled(b"\xc0", size) for size in range(1, 21)],
                      *[filled(b"\x40", size) for size in range(1, 21)])),
    Row("an ID of 21 bytes", "RFC 9000 §17.2", SILENCE,
        datagrams=raw(initial(destination=bytes(21)))),
    Row("an ID of 255 bytes", "RFC 9000 §17.2", SILENCE,
        datagrams=raw(initial(destination=bytes(255)), initial(source=bytes(255)))),
    Row("an ID that ends early", "RFC 9000 §17.2", SILENCE,
        datagrams=raw(filled(b"\xc3\x00\x00\x00\x01\xff", 30))),
    Row("a first ID of 7 bytes", "RFC 9000 §7.2", SILENCE,
        datagrams=raw(initial(destination=bytes(7)), initial(destination=b""))),
    Row("an unknown version", "RFC 9000 §6.1", NEGOTIATION,
        datagrams=raw(filled(long_header(0, UNKNOWN)))),
    Row("an unknown version, IDs of 255 bytes", "RFC 8999 §6", NEGOTIATION | SILENCE,
        datagrams=raw(filled(long_header(0, UNKNOWN, bytes(255), bytes(255))))),
    Row("an unknown version in 1199 bytes", "RFC 9000 §6.1", SILENCE,
        datagrams=raw(filled(long_header(0, UNKNOWN), 1199))),
    Row("Version Negotiation", "RFC 9000 §6.1", SILENCE,
        datagrams=raw(filled(negotiation(ID, ID, V1)))),
    Row("an Initial in 1199 bytes", "RFC 9000 §14.1", SILENCE, datagrams=raw(initial(1199))),
    Row("an Initial of garbage", "RFC 9001 §5.2", SILENCE, datagrams=raw(initial())),
    Row("a token longer than the packet", "RFC 9000 §17.2.2", SILENCE,
        datagrams=raw(initial(token=varint(1 << 20)))),
    Row("a packet longer than the datagram", "RFC 9000 §17.2", SILENCE,
        datagrams=raw(initial(length=9000))),
    Row("a packet too short to unprotect", "RFC 9001 §5.4.2", SILENCE,
        datagrams=raw(initial(length=3))),
    Row("no fixed bit", "RFC 9000 §17.2", SILENCE,
        datagrams=raw(filled(long_header(0, fixed=False)))),
    Row("a Handshake packet of nobody", "RFC 9000 §5.2.2", SILENCE,
        datagrams=raw(filled(long_header(2)))),
    Row("a 0-RTT packet of nobody", "RFC 9000 §5.2.2", SILENCE,
        datagrams=raw(filled(long_header(1)))),
    Row("a Retry", "RFC 9000 §17.2.5", SILENCE, datagrams=raw(filled(retry(ID, ID, b"token")))),
    Row("a short packet of nobody", "RFC 9000 §10.3", RESET_OR_SILENCE,
        datagrams=raw(filled(b"\x43", 100))),
    Row("a short packet as small as a reset", "RFC 9000 §10.3.3", SILENCE,
        datagrams=raw(filled(b"\x43", 21))),
    Row("reserved ports' favourite bytes", "RFC 9443 §3", SILENCE,
        datagrams=raw(*[filled(bytes([first]), 200) for first in range(0, 64)])),
    Row("the largest datagram", "RFC 9000 §14", SILENCE, datagrams=raw(initial(65_000, length=100))),
    # With right keys, which anybody can derive.
    Row("an Initial of ours with garbage for TLS", "RFC 8446 §6.2",
        transport(*(0x100 | alert for alert in (10, 40, 47, 50, 70))),
        lambda side: [crypto(tls(1, bytes(200)))], space=INITIAL, alone=True),
    Row("an Initial of ours without TLS", "RFC 9000 §17.2.2", SILENCE | transport(0xA),
        lambda side: [PING], space=INITIAL, alone=True),
    Row("an Initial of ours that closes", "RFC 9000 §10.2", SILENCE,
        lambda side: [b"\x1c\x00\x00\x00"], space=INITIAL, alone=True),
]

# Ahead of the honest answer, and the client must go on to it.
TO_CLIENT = [
    Row("empty datagrams ahead", "RFC 9000 §5.2", STAYS_OPEN, ahead=lambda first, own: [b""] * 5),
    Row("garbage ahead", "RFC 9000 §5.2.1", STAYS_OPEN,
        ahead=lambda first, own: [filled(b"\x43" + own, 100), filled(b"\xc3" + own, 1200)]),
    Row("Version Negotiation with the version in use", "RFC 9000 §6.2", STAYS_OPEN,
        ahead=lambda first, own: [negotiation(own, first, V1, UNKNOWN)]),
    Row("Version Negotiation with foreign IDs", "RFC 9000 §17.2.1", STAYS_OPEN,
        ahead=lambda first, own: [negotiation(ID, first, UNKNOWN), negotiation(own, ID, UNKNOWN)]),
    Row("Version Negotiation that ends early", "RFC 9000 §17.2.1", STAYS_OPEN,
        ahead=lambda first, own: [negotiation(own, first, UNKNOWN)[:-2]]),
    Row("Retry with a wrong tag", "RFC 9001 §5.8", STAYS_OPEN,
        ahead=lambda first, own: [retry(own, ID, b"token")]),
    Row("Retry without a token", "RFC 9000 §17.2.5.2", STAYS_OPEN,
        ahead=lambda first, own: [retry(own, ID, b"")]),
    Row("Retry from the first ID", "RFC 9000 §17.2.5.1", STAYS_OPEN,
        ahead=lambda first, own: [retry(own, first, b"token")]),
    Row("a reset of nothing", "RFC 9000 §10.3", STAYS_OPEN,
        ahead=lambda first, own: [filled(b"\x43", 60)]),
    Row("an Initial of another key", "RFC 9001 §5.2", STAYS_OPEN,
        ahead=lambda first, own: [initial(destination=own, source=ID)]),
    Row("an Initial with a token", "RFC 9000 §17.2.2", STAYS_OPEN,
        ahead=lambda first, own: [initial(destination=own, source=ID, token=b"\x05token")]),
    Row("an Initial of an unknown version", "RFC 9000 §5.2.1", STAYS_OPEN,
        ahead=lambda first, own: [initial(destination=own, source=ID, version=UNKNOWN)]),
    Row("a Handshake packet ahead of its keys", "RFC 9000 §5.2.1", STAYS_OPEN,
        ahead=lambda first, own: [filled(long_header(2, V1, own, ID) + b"\x44\x00")]),
]

TABLES = {
    "stranger": [
        *(Row(**{**row.__dict__, "victim": "server"}) for row in TO_SERVER),
        *(Row(**{**row.__dict__, "victim": "client"}) for row in TO_CLIENT),
    ],
}
