"""Offences against HTTP/3 and QPACK, RFC 9114 and RFC 9204."""

from rules.frames import reset_stream, stop_sending, stream, varint
from rules.row import STAYS_OPEN, Row, Side, application
from rules.row import stream as stream_error

# RFC 9114 §8.1.
STREAM_CREATION = application(0x103)
CLOSED_CRITICAL = application(0x104)
UNEXPECTED_FRAME = application(0x105)
FRAME_ERROR = application(0x106)
EXCESSIVE_LOAD = application(0x107)
ID_ERROR = application(0x108)
SETTINGS_ERROR = application(0x109)
MISSING_SETTINGS = application(0x10A)
# A message that is malformed is an error of its stream (RFC 9114 §4.1.2).
MALFORMED = stream_error(0x10E) | application(0x10E)
# RFC 9204 §6.
DECOMPRESSION = application(0x200)
ENCODER_STREAM = application(0x201)
DECODER_STREAM = application(0x202)

# Types of frames (RFC 9114 §7.2) and of one-way streams (§6.2, RFC 9204 §4.2).
DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0, 1, 3, 4, 5, 7, 13
CONTROL, PUSH, ENCODER, DECODER = 0, 1, 2, 3
# RFC 9218 §7.2.
PRIORITY_UPDATE = 0xF0700
# SETTINGS_MAX_FIELD_SECTION_SIZE.
FIELDS_MAX = b"\x06\x40\xff"


def frame(kind: int, body: bytes = b"") -> bytes:
    return varint(kind) + varint(len(body)) + body


def prefixed(value: int, bits: int, first: int) -> bytes:
    """An integer behind a prefix (RFC 7541 §5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    rest, encoded = value - limit, bytearray([first | limit])
    while rest >= 128:
        encoded.append(rest % 128 + 128)
        rest //= 128
    encoded.append(rest)
    return bytes(encoded)


def section(*fields: tuple[str, str]) -> bytes:
    """A field section that uses no table (RFC 9204 §4.5.6)."""
    encoded = b"\x00\x00"
    for name, value in fields:
        encoded += prefixed(len(name), 3, 0x20) + name.encode()
        encoded += prefixed(len(value), 7, 0x00) + value.encode()
    return encoded


METHOD, SCHEME, AUTHORITY = (":method", "GET"), (":scheme", "https"), (":authority", "localhost")
PATH, STATUS, FIELD = (":path", "/small"), (":status", "200"), ("accept", "text/plain")


def request(path: str) -> bytes:
    """A whole request without a body."""
    return frame(HEADERS, section(METHOD, SCHEME, AUTHORITY, (":path", path)))


def message(side: Side, *frames: bytes, fin: bool = False) -> bytes:
    """Frames on the stream of a request, or of its answer."""
    number = side.mine() if side.is_client else side.yours()
    return stream(number, b"".join(frames), fin=fin)


def fields(side: Side, *extra: tuple[str, str], without: str = "", late: bool = False) -> bytes:
    """HEADERS that are right, but for pseudo-header fields that come on top, are missing or late."""
    honest = [METHOD, SCHEME, AUTHORITY, PATH] if side.is_client else [STATUS]
    chosen = [field for field in honest if field[0] != without]
    chosen = [FIELD, *chosen] if late else [*chosen, *extra, FIELD]
    return frame(HEADERS, section(*chosen))


def control(side: Side, *frames: bytes, fin: bool = False) -> bytes:
    """Frames on the control stream, which they begin."""
    return stream(side.mine(uni=True), varint(CONTROL) + b"".join(frames), fin=fin)


def one_way(side: Side, kind: int, data: bytes, number: int = 1) -> bytes:
    return stream(side.mine(number, uni=True), varint(kind) + data)


# HTTP/3's and QPACK's part of what h3spec knows: 16 offences.
KNOWN = [
    Row("DATA in front of HEADERS", "RFC 9114 §4.1", UNEXPECTED_FRAME,
        lambda side: [message(side, frame(DATA, b"x"))]),
    Row("a pseudo-header field twice", "RFC 9114 §4.3", MALFORMED,
        lambda side: [
            message(side, fields(side, METHOD if side.is_client else STATUS), fin=side.is_client)]),
    Row("no pseudo-header field that must be", "RFC 9114 §4.3", MALFORMED,
        lambda side: [
            message(side, fields(side, without=":method" if side.is_client else ":status"),
                    fin=side.is_client)]),
    Row("a pseudo-header field of the other side", "RFC 9114 §4.3", MALFORMED,
        lambda side: [
            message(side, fields(side, STATUS if side.is_client else METHOD), fin=side.is_client)]),
    Row("pseudo-header fields behind others", "RFC 9114 §4.3", MALFORMED,
        lambda side: [message(side, fields(side, late=True), fin=side.is_client)]),
    Row("control stream without SETTINGS", "RFC 9114 §6.2.1", MISSING_SETTINGS,
        lambda side: [control(side, frame(GOAWAY, b"\x00"))]),
    Row("DATA on the control stream", "RFC 9114 §7.2.1", UNEXPECTED_FRAME,
        lambda side: [control(side, frame(SETTINGS), frame(DATA, b"x"))]),
    Row("HEADERS on the control stream", "RFC 9114 §7.2.2", UNEXPECTED_FRAME,
        lambda side: [control(side, frame(SETTINGS), fields(side))]),
    Row("SETTINGS twice", "RFC 9114 §7.2.4", UNEXPECTED_FRAME,
        lambda side: [control(side, frame(SETTINGS), frame(SETTINGS))]),
    # A receiver may take this as an error; nghttp3 does not.
    Row("a setting twice", "RFC 9114 §7.2.4", SETTINGS_ERROR | STAYS_OPEN,
        lambda side: [control(side, frame(SETTINGS, FIELDS_MAX + FIELDS_MAX))]),
    Row("a setting of HTTP/2", "RFC 9114 §7.2.4.1", SETTINGS_ERROR,
        lambda side: [control(side, frame(SETTINGS, b"\x02\x01"))]),
    Row("CANCEL_PUSH on a stream of messages", "RFC 9114 §7.2.3", UNEXPECTED_FRAME,
        lambda side: [message(side, frame(CANCEL_PUSH, b"\x00"))]),
    Row("control stream that ends", "RFC 9114 §6.2.1", CLOSED_CRITICAL,
        lambda side: [control(side, frame(SETTINGS), fin=True)]),
    Row("a place that the static table lacks", "RFC 9204 §3.1", DECOMPRESSION,
        lambda side: [message(side, frame(HEADERS, b"\x00\x00" + prefixed(200, 6, 0xC0)), fin=True)]),
    Row("a dynamic table beyond what is allowed", "RFC 9204 §4.3.1", ENCODER_STREAM,
        lambda side: [one_way(side, ENCODER, prefixed(1 << 20, 5, 0x20))]),
    Row("Insert Count Increment of 0", "RFC 9204 §4.4.3", DECODER_STREAM,
        lambda side: [one_way(side, DECODER, b"\x00")]),
]

# A request's fields that are 36 bytes each for one on the wire, and of which more are announced.
ENDLESS = varint(HEADERS) + varint(60_000) + b"\x00\x00" + prefixed(2, 6, 0xC0) * 900

# Others of our own choice.
ODDITIES = [
    Row("a second control stream", "RFC 9114 §6.2.1", STREAM_CREATION,
        lambda side: [
            control(side, frame(SETTINGS)),
            one_way(side, CONTROL, frame(SETTINGS), 2)]),
    Row("a second encoder stream", "RFC 9204 §4.2", STREAM_CREATION,
        lambda side: [one_way(side, ENCODER, b""), one_way(side, ENCODER, b"", 2)]),
    Row("a push stream of a client", "RFC 9114 §6.2.2", STREAM_CREATION,
        lambda side: [one_way(side, PUSH, b"\x00")], victim="server"),
    Row("a push stream that nobody allowed", "RFC 9114 §4.6", ID_ERROR | STREAM_CREATION,
        lambda side: [one_way(side, PUSH, b"\x00")], victim="client"),
    Row("a request of a server", "RFC 9114 §6.1", STREAM_CREATION,
        lambda side: [stream(side.mine(), fields(side))], victim="client"),
    Row("PUSH_PROMISE of a client", "RFC 9114 §7.2.5", UNEXPECTED_FRAME,
        lambda side: [message(side, frame(PUSH_PROMISE, b"\x00" + section(METHOD)))],
        victim="server"),
    Row("PUSH_PROMISE that nobody allowed", "RFC 9114 §7.2.5", ID_ERROR | UNEXPECTED_FRAME,
        lambda side: [message(side, frame(PUSH_PROMISE, b"\x00" + section(METHOD)))],
        victim="client"),
    Row("MAX_PUSH_ID of a server", "RFC 9114 §7.2.7", UNEXPECTED_FRAME,
        lambda side: [control(side, frame(SETTINGS), frame(MAX_PUSH_ID, b"\x05"))],
        victim="client"),
    Row("GOAWAY with a stream of nobody's requests", "RFC 9114 §7.2.6", ID_ERROR,
        lambda side: [control(side, frame(SETTINGS), frame(GOAWAY, b"\x03"))], victim="client"),
    Row("GOAWAY on a stream of messages", "RFC 9114 §7.2.6", UNEXPECTED_FRAME,
        lambda side: [message(side, frame(GOAWAY, b"\x00"))]),
    Row("a frame of HTTP/2", "RFC 9114 §7.2.8", UNEXPECTED_FRAME,
        lambda side: [control(side, frame(SETTINGS), frame(0x06, bytes(8)))]),
    Row("SETTINGS that end early", "RFC 9114 §7.1", FRAME_ERROR,
        lambda side: [control(side, b"\x04\x01\x06")]),
    Row("a stream that ends within a frame", "RFC 9114 §7.1", FRAME_ERROR | stream_error(0x10D),
        lambda side: [message(side, fields(side)[:-4], fin=True)]),
    # QUIC may drop what came in front of a reset; then nobody knows which stream it was.
    Row("control stream that is reset", "RFC 9114 §6.2.1", CLOSED_CRITICAL | STAYS_OPEN,
        lambda side: [control(side, frame(SETTINGS)), reset_stream(side.mine(uni=True), 3)]),
    Row("STOP_SENDING of the control stream", "RFC 9114 §6.2.1", CLOSED_CRITICAL,
        lambda side: [stop_sending(side.yours(uni=True))]),
    Row("capital letters in a name", "RFC 9114 §4.2", MALFORMED,
        lambda side: [message(side, fields(side, ("Accept", "x")), fin=side.is_client)]),
    Row("a field of connections", "RFC 9114 §4.2", MALFORMED,
        lambda side: [message(side, fields(side, ("connection", "close")), fin=side.is_client)]),
    Row("a body of another length", "RFC 9114 §4.1.2", MALFORMED,
        lambda side: [
            message(side, fields(side, ("content-length", "5")), frame(DATA, b"x"), fin=True)]),
    Row("a field that waits for a table that cannot be", "RFC 9204 §2.2.1", DECOMPRESSION,
        lambda side: [message(side, frame(HEADERS, b"\x05\x00\x80"), fin=True)]),
    Row("acknowledgement of no field section", "RFC 9204 §4.4.1", DECODER_STREAM,
        lambda side: [one_way(side, DECODER, b"\x84")]),
    Row("the priority of a stream beyond the limit", "RFC 9218 §7.1", ID_ERROR,
        lambda side: [
            control(side, frame(SETTINGS), frame(PRIORITY_UPDATE, varint(4_000_000) + b"u=1"))],
        victim="server"),
    Row("the priority of a stream that may come", "RFC 9218 §7.1", STAYS_OPEN,
        lambda side: [
            control(side, frame(SETTINGS), frame(PRIORITY_UPDATE, varint(40) + b"u=1"))],
        victim="server"),
    Row("requests whose fields never end", "RFC 9114 §10.5", EXCESSIVE_LOAD,
        lambda side: [stream(side.mine(number), ENDLESS) for number in range(5, 14)],
        victim="server"),
    Row("unknown frames and streams", "RFC 9114 §9", STAYS_OPEN | stream_error(0x103),
        lambda side: [
            control(side, frame(SETTINGS, b"\x21\x00"), frame(0x21, b"greased")),
            one_way(side, 0x21, b"greased", 3)]),
]

TABLES = {"http3": KNOWN, "http3-oddities": ODDITIES}
