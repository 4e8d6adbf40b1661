"""QUIC's frames (RFC 9000 §19) as bytes, right or wrong."""

PADDING = b"\x00"
PING = b"\x01"
HANDSHAKE_DONE = b"\x1e"
# The largest number that a varint holds (RFC 9000 §16).
VARINT_MAX = (1 << 62) - 1


def varint(value: int) -> bytes:
    """The shortest form."""
    for size, prefix in ((1, 0x00), (2, 0x40), (4, 0x80), (8, 0xC0)):
        if value < 1 << (8 * size - 2):
            encoded = bytearray(value.to_bytes(size, "big"))
            encoded[0] |= prefix
            return bytes(encoded)
    raise ValueError(f"{value} does not fit")


def stream(
    number: int, data: bytes = b"", offset: int = 0, fin: bool = False, length: int | None = None,
) -> bytes:
    """STREAM with offset and length; `length` is what it claims instead of the truth."""
    claimed = len(data) if length is None else length
    return varint(0x0E | fin) + varint(number) + varint(offset) + varint(claimed) + data


def reset_stream(number: int, size: int = 0, code: int = 0) -> bytes:
    return b"\x04" + varint(number) + varint(code) + varint(size)


def stop_sending(number: int, code: int = 0) -> bytes:
    return b"\x05" + varint(number) + varint(code)


def crypto(data: bytes, offset: int = 0) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def new_token(token: bytes) -> bytes:
    return b"\x07" + varint(len(token)) + token


def max_data(value: int) -> bytes:
    return b"\x10" + varint(value)


def max_stream_data(number: int, value: int = 1 << 20) -> bytes:
    return b"\x11" + varint(number) + varint(value)


def max_streams(value: int, uni: bool = False) -> bytes:
    return bytes([0x12 | uni]) + varint(value)


def data_blocked(value: int) -> bytes:
    return b"\x14" + varint(value)


def stream_data_blocked(number: int, value: int = 0) -> bytes:
    return b"\x15" + varint(number) + varint(value)


def streams_blocked(value: int, uni: bool = False) -> bytes:
    return bytes([0x16 | uni]) + varint(value)


def new_connection_id(
    sequence: int, retire: int = 0, identifier: bytes = b"", token: bytes | None = None,
) -> bytes:
    """NEW_CONNECTION_ID; ID and token follow from the sequence number unless they are given."""
    identifier = identifier or b"\xee" + sequence.to_bytes(7, "big")
    token = token or b"\xdd" + sequence.to_bytes(15, "big")
    return (b"\x18" + varint(sequence) + varint(retire) + bytes([len(identifier)]) + identifier
            + token)


def retire_connection_id(sequence: int) -> bytes:
    return b"\x19" + varint(sequence)


def path_challenge(data: bytes = b"qtuntest") -> bytes:
    return b"\x1a" + data


def path_response(data: bytes = b"qtuntest") -> bytes:
    return b"\x1b" + data


def ack(largest: int, first: int = 0, ranges: tuple[tuple[int, int], ...] = ()) -> bytes:
    """ACK of `first` + 1 numbers up to `largest`, then of ranges: each a gap and a length."""
    encoded = b"\x02" + varint(largest) + varint(0) + varint(len(ranges)) + varint(first)
    return encoded + b"".join(varint(gap) + varint(length) for gap, length in ranges)


def datagram(data: bytes) -> bytes:
    return b"\x31" + varint(len(data)) + data


def tls(kind: int, body: bytes = b"") -> bytes:
    """A TLS handshake message (RFC 8446 §4)."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body
