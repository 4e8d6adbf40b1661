"""Tickets, read and written independently of the program under test."""

import base64
import dataclasses
import hashlib
import struct

PREFIX = "qtun1"
CHECKSUM_BYTES = 4


@dataclasses.dataclass(frozen=True)
class Ticket:
    """A ticket whose addresses are all IPv4, as loopback shares print them."""

    identity: bytes
    capability: bytes
    port: int
    addresses: tuple[tuple[bytes, int], ...]
    # The bytes of the grant of a ticket with limits.
    grant: bytes | None = None

    @staticmethod
    def parse(text: str) -> "Ticket":
        """Reads a ticket; ValueError if it is none."""
        body = text.removeprefix(PREFIX).upper()
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
        content, checksum = raw[:-CHECKSUM_BYTES], raw[-CHECKSUM_BYTES:]
        if not text.startswith(PREFIX) or checksum != _checksum(content):
            raise ValueError(f"not a ticket: {text}")
        flags, identity, capability, port, count = struct.unpack("!B32s16sHB", content[:52])
        end = 52 + 7 * count
        addresses = tuple(
            (host, number) for family, host, number in struct.iter_unpack("!B4sH", content[52:end])
            if family == 4)
        rest = content[end:]
        # The grants of these tests are shorter than 64 bytes, so their length is one byte.
        is_whole = len(rest) == 1 + rest[0] if flags == 1 and rest else flags == 0 and not rest
        if len(addresses) != count or not is_whole:
            raise ValueError(f"a ticket of another kind: {text}")
        return Ticket(identity, capability, port, addresses, rest[1:] if flags else None)

    @property
    def text(self) -> str:
        content = struct.pack(
            "!B32s16sHB", self.grant is not None, self.identity, self.capability, self.port, len(self.addresses))
        for host, port in self.addresses:
            content += struct.pack("!B4sH", 4, host, port)
        if self.grant is not None:
            content += bytes([len(self.grant)]) + self.grant
        encoded = base64.b32encode(content + _checksum(content)).decode()
        return PREFIX + encoded.rstrip("=").lower()

    @property
    def udp_port(self) -> int:
        """The port of its first address."""
        return self.addresses[0][1]

    @property
    def fingerprint(self) -> str:
        """The identity as the program shows it."""
        return base64.b32encode(self.identity).decode().rstrip("=").lower()

    def replacing(self, **changes) -> "Ticket":
        return dataclasses.replace(self, **changes)

    def at(self, port: int) -> "Ticket":
        """The same invitation, to this UDP port of 127.0.0.1."""
        return self.replacing(addresses=((bytes([127, 0, 0, 1]), port),))


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:CHECKSUM_BYTES]
