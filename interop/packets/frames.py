"""The frames of a decrypted packet (RFC 9000 §19, RFC 9221 §4)."""

import dataclasses

from aioquic.buffer import Buffer

ACK, ACK_ECN, CRYPTO = 0x02, 0x03, 0x06
NEW_CONNECTION_ID, PATH_CHALLENGE, PATH_RESPONSE = 0x18, 0x1A, 0x1B
STREAM_FIRST, STREAM_LAST = 0x08, 0x0F
DATAGRAM, DATAGRAM_WITH_LENGTH = 0x30, 0x31
# How many integers follow the type, for frames that are nothing else.
INTEGERS = {
    0x00: 0, 0x01: 0, 0x04: 3, 0x05: 2, 0x10: 1, 0x11: 2, 0x12: 1, 0x13: 1, 0x14: 1, 0x15: 2,
    0x16: 1, 0x17: 1, 0x19: 1, 0x1E: 0,
}


@dataclasses.dataclass(frozen=True)
class Frame:
    """A type, and what is asked about: data of streams, CRYPTO, paths and connection IDs."""

    type: int
    offset: int = 0
    data: bytes = b""
    stream: int = -1


def parse(payload: bytes) -> list[Frame]:
    """The frames; raises ValueError or BufferReadError for what is none."""
    buffer, found = Buffer(data=payload), []
    while not buffer.eof():
        kind = buffer.pull_uint_var()
        if kind:
            found.append(_pull(buffer, kind))
    return found


def _pull(buffer: Buffer, kind: int) -> Frame:
    if kind in INTEGERS:
        for _ in range(INTEGERS[kind]):
            buffer.pull_uint_var()
        return Frame(kind)
    if kind in (ACK, ACK_ECN):
        buffer.pull_uint_var()
        buffer.pull_uint_var()
        ranges = buffer.pull_uint_var()
        for _ in range(1 + 2 * ranges + (3 if kind == ACK_ECN else 0)):
            buffer.pull_uint_var()
        return Frame(kind)
    if kind == CRYPTO:
        offset = buffer.pull_uint_var()
        return Frame(kind, offset, buffer.pull_bytes(buffer.pull_uint_var()))
    if kind == 0x07:
        buffer.pull_bytes(buffer.pull_uint_var())
        return Frame(kind)
    if STREAM_FIRST <= kind <= STREAM_LAST:
        return _pull_stream(buffer, kind)
    if kind == NEW_CONNECTION_ID:
        buffer.pull_uint_var()
        buffer.pull_uint_var()
        identifier = buffer.pull_bytes(buffer.pull_uint8())
        buffer.pull_bytes(16)
        return Frame(kind, data=identifier)
    if kind in (PATH_CHALLENGE, PATH_RESPONSE):
        return Frame(kind, data=buffer.pull_bytes(8))
    if kind in (0x1C, 0x1D):
        for _ in range(2 if kind == 0x1C else 1):
            buffer.pull_uint_var()
        buffer.pull_bytes(buffer.pull_uint_var())
        return Frame(kind)
    if kind in (DATAGRAM, DATAGRAM_WITH_LENGTH):
        rest = buffer.capacity - buffer.tell()
        buffer.pull_bytes(buffer.pull_uint_var() if kind == DATAGRAM_WITH_LENGTH else rest)
        return Frame(kind)
    raise ValueError(f"frame type {kind:#x}")


def _pull_stream(buffer: Buffer, kind: int) -> Frame:
    stream = buffer.pull_uint_var()
    offset = buffer.pull_uint_var() if kind & 4 else 0
    size = buffer.pull_uint_var() if kind & 2 else buffer.capacity - buffer.tell()
    return Frame(kind, offset, buffer.pull_bytes(size), stream)
