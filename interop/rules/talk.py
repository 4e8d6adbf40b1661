"""Offences against qtun/1 and qtun-relay/1, as docs/protocol.md has them."""

import dataclasses
from collections.abc import Callable

from rules import frames
from rules.frames import varint
from rules.row import OPEN, STAYS_OPEN, application, stream, transport

VIOLATION = application(0x01)
VERSION = application(0x02)
NOT_AUTHORIZED = application(0x03)
TOO_MUCH = application(0x07)
TOKEN_WRONG = application(0x21)
TOKEN_NEEDED = application(0x20)
MALFORMED = stream(0x104)
# Where QUIC's own limit speaks first (RFC 9000 §4.6).
STREAM_LIMIT = transport(0x4)


def message(kind: int, body: bytes = b"") -> bytes:
    """A control message: type, length, body."""
    return varint(kind) + varint(len(body)) + body


def text(value: bytes) -> bytes:
    return varint(len(value)) + value


@dataclasses.dataclass(frozen=True)
class Talk:
    """What is said on one connection, and what must come of it."""

    name: str
    # The section of docs/protocol.md.
    rule: str
    expected: frozenset[str]
    # In place of the honest first message, by the proof (dialers alone have one).
    greeting: Callable[[bytes], bytes] | None = None
    # On the control stream, behind the greeting and its answer.
    control: bytes = b""
    # What then happens to the control stream: fin, reset or stop.
    ending: str = ""
    # On a stream of its own, bidirectional or not.
    flow: bytes | None = None
    flow_ends: bool = False
    one_way: bytes | None = None
    # In DATAGRAM frames.
    datagrams: tuple[bytes, ...] = ()
    # Whether bytes of the greeting come one by one.
    is_slow: bool = False

    def packets(self, flow: int, one_way: int) -> list[bytes]:
        """Payloads of packets with what is not for the control stream."""
        found = [frames.datagram(data) for data in self.datagrams]
        if self.flow is not None:
            found.append(frames.stream(flow, self.flow, fin=self.flow_ends))
        if self.one_way is not None:
            found.append(frames.stream(one_way, self.one_way))
        return found

    @property
    def ends_connection(self) -> bool:
        return not any(word == OPEN or word.startswith("stream") for word in self.expected)


HELLO, WELCOME, GOODBYE, FINISHED, LISTEN, LISTENING, UNLISTEN, LOST, PING, PONG = range(1, 11)
LOOPBACK = bytes(10) + b"\xff\xff\x7f\x00\x00\x01"


def hello(proof: bytes, version: int = 1, grant: bytes = b"") -> bytes:
    # It knows UDP flows, with targets too.
    return message(HELLO, varint(version) + varint(9) + text(proof) + text(grant))


def service(name: bytes, kind: int = 0) -> tuple[bytes, int]:
    return name, kind


def welcome(*services: tuple[bytes, int], version: int = 1, count: int | None = None) -> bytes:
    listed = b"".join(text(name) + b"\x00\x00" for name, _ in services)
    kinds = bytes(kind for _, kind in services)
    number = len(services) if count is None else count
    return message(WELCOME, varint(version) + varint(0) + varint(number) + listed + kinds)


def listen(number: int, kind: int = 1) -> bytes:
    return message(LISTEN, varint(number) + varint(kind) + LOOPBACK + b"\x00\x00")


HONEST_WELCOME = welcome(service(b""))


def broken(names: dict[str, bytes]) -> list[Talk]:
    """Messages whose bodies end within a field, or are longer than a field may be."""
    return [
        Talk(name, "Control messages", VIOLATION, control=data) for name, data in names.items()]


def endings() -> list[Talk]:
    return [
        Talk("the control stream ends", "Streams", VIOLATION, ending="fin"),
        Talk("the control stream is reset", "Streams", VIOLATION, ending="reset"),
        Talk("the control stream is stopped", "Streams", VIOLATION, ending="stop"),
    ]


# What both sides of a session take from the other.
SESSION_BROKEN = {
    "GOODBYE that ends early": message(GOODBYE, b"\x05ab"),
    "GOODBYE of 513 bytes": message(GOODBYE, text(bytes(513))),
    "PING that ends early": message(PING, b"\x09a"),
    "PING of 2049 bytes": message(PING, text(bytes(2049))),
    "a body of 16385 bytes": message(0x2F0A, bytes(16385)),
    "a length of 2^61": varint(PING) + varint(1 << 61),
}
SESSION_TAKEN = [
    Talk("unknown messages", "Control messages", STAYS_OPEN,
         control=message(0x2F0A, bytes(16384)) + message(11) + message(1 << 40)),
    Talk("bytes behind the known fields", "Control messages", STAYS_OPEN,
         control=message(PING, text(b"x") + bytes(100))),
    Talk("PONG that nobody asked for", "PING and PONG", STAYS_OPEN,
         control=message(PONG, text(b"x"))),
    Talk("500 PINGs", "PING and PONG", STAYS_OPEN, control=message(PING, text(bytes(500))) * 500),
    Talk("DATAGRAM frames of noise", "UDP flows", STAYS_OPEN,
         datagrams=(b"", b"\xff", b"\x00\x00", b"\xc0" * 9, bytes(1000), b"\x00\x00\x01\x00\x05\x02",
                    b"\x00\x40\x40\x00\x03\x00\x00\x35", b"\x00\x3f\x00x")),
]

TO_SHARE = [
    Talk("a flow ahead of HELLO", "Streams", VIOLATION,
         greeting=lambda proof: b"", flow=b"\x01\x00x"),
    Talk("a one-way stream ahead of HELLO", "Streams", VIOLATION,
         greeting=lambda proof: b"", one_way=b"x"),
    Talk("a one-way stream", "Streams", VIOLATION, one_way=b"x"),
    Talk("PING ahead of HELLO", "Control messages", VIOLATION,
         greeting=lambda proof: message(PING, text(b"x"))),
    Talk("a HELLO of version 0", "HELLO", VERSION, greeting=lambda proof: hello(proof, version=0)),
    Talk("a HELLO without a proof", "The proof", NOT_AUTHORIZED, greeting=lambda proof: hello(b"")),
    Talk("a HELLO with a wrong proof", "The proof", NOT_AUTHORIZED,
         greeting=lambda proof: hello(bytes(32))),
    Talk("a HELLO with half of the proof", "The proof", NOT_AUTHORIZED,
         greeting=lambda proof: hello(proof[:16])),
    Talk("a HELLO with a grant of noise", "Grants", NOT_AUTHORIZED,
         greeting=lambda proof: hello(proof, grant=b"noise" * 9)),
    Talk("a proof of 65 bytes", "HELLO", VIOLATION, greeting=lambda proof: hello(bytes(65))),
    Talk("a grant of 1025 bytes", "HELLO", VIOLATION,
         greeting=lambda proof: hello(proof, grant=bytes(1025))),
    Talk("a HELLO that ends early", "HELLO", VIOLATION,
         greeting=lambda proof: bytes.fromhex("010101")),
    Talk("a HELLO of 16385 bytes", "Control messages", VIOLATION,
         greeting=lambda proof: varint(HELLO) + varint(16385)),
    Talk("a HELLO byte by byte", "Control messages", STAYS_OPEN, greeting=hello, is_slow=True),
    Talk("a HELLO of a later version", "HELLO", STAYS_OPEN,
         greeting=lambda proof: hello(proof, version=300)),
    Talk("HELLO twice", "Control messages", VIOLATION, control=hello(bytes(32))),
    Talk("WELCOME of a dialer", "Control messages", VIOLATION, control=HONEST_WELCOME),
    Talk("LISTENING of a dialer", "Reverse listening", VIOLATION,
         control=message(LISTENING, bytes(2) + LOOPBACK + b"\x00\x50")),
    # It is answered with status 1, as other refusals are.
    Talk("LISTEN without the right", "Reverse listening", STAYS_OPEN, control=listen(0)),
    Talk("UNLISTEN without the right", "Reverse listening", VIOLATION | STAYS_OPEN,
         control=message(UNLISTEN, b"\x00")),
    Talk("LOST of a session of nobody", "LOST", STAYS_OPEN, control=message(LOST, bytes(8))),
    *broken(SESSION_BROKEN | {
        "LOST that ends early": message(LOST, bytes(7)),
        "LISTEN that ends early": message(LISTEN, b"\x00\x01" + LOOPBACK),
        "UNLISTEN that ends early": message(UNLISTEN),
    }),
    *endings(),
    *SESSION_TAKEN,
    Talk("a flow of kind 0", "Flows", MALFORMED, flow=b"\x00\x00"),
    Talk("a flow of the sharing side's kind", "Flows", MALFORMED,
         flow=b"\x03\x00" + LOOPBACK + b"\x00\x50"),
    Talk("a flow of a relay's kind", "Flows", MALFORMED, flow=b"\x05\x00" + bytes(36)),
    Talk("a flow of a kind of many bytes", "Flows", MALFORMED, flow=varint(1 << 50) + bytes(9)),
    Talk("a service's name of 256 bytes", "Flows", MALFORMED, flow=b"\x01" + text(bytes(256))),
    Talk("a header that ends early", "Flows", MALFORMED, flow=b"\x01\x05we", flow_ends=True),
    Talk("a stream without a byte", "Flows", MALFORMED, flow=b"", flow_ends=True),
    Talk("a service that nobody shares", "Error codes", stream(0x103), flow=b"\x01\x04nope"),
    Talk("a service of another kind", "Error codes", stream(0x10A),
         flow=b"\x02\x00\x09127.0.0.1\x00\x50"),
    Talk("a destination without a name", "Flows", MALFORMED, flow=b"\x02\x00\x00\x00\x50"),
    Talk("a destination without a port", "Flows", MALFORMED, flow=b"\x02\x00\x01a\x00\x00"),
]

TO_CONNECT = [
    Talk("HELLO of a share", "Control messages", VIOLATION,
         greeting=lambda proof: hello(bytes(32))),
    Talk("GOODBYE ahead of WELCOME", "Control messages", VIOLATION,
         greeting=lambda proof: message(GOODBYE, text(b"bye"))),
    Talk("a WELCOME that ends early", "WELCOME", VIOLATION, greeting=lambda proof: HONEST_WELCOME[:1]
         + varint(3) + b"\x01\x00\x01"),
    Talk("a WELCOME of 65 services", "WELCOME", VIOLATION,
         greeting=lambda proof: welcome(*(service(b"%d" % number) for number in range(65)))),
    Talk("a WELCOME that promises services", "WELCOME", VIOLATION,
         greeting=lambda proof: welcome(count=1 << 40)),
    Talk("a WELCOME that names one twice", "WELCOME", VIOLATION,
         greeting=lambda proof: welcome(service(b"a"), service(b"a"))),
    Talk("a service's name of 256 bytes", "WELCOME", VIOLATION,
         greeting=lambda proof: welcome(service(bytes(256)))),
    Talk("WELCOME byte by byte", "Control messages", STAYS_OPEN,
         greeting=lambda proof: HONEST_WELCOME, is_slow=True),
    Talk("WELCOME twice", "Control messages", VIOLATION, control=HONEST_WELCOME),
    Talk("HELLO behind WELCOME", "Control messages", VIOLATION, control=hello(bytes(32))),
    Talk("LISTEN of a share", "Reverse listening", VIOLATION, control=listen(0)),
    Talk("LISTENING that nobody asked for", "Reverse listening", VIOLATION,
         control=message(LISTENING, bytes(2) + LOOPBACK + b"\x00\x50")),
    Talk("LOST of a share", "LOST", VIOLATION, control=message(LOST, bytes(8))),
    Talk("a stream that nobody asked for", "Streams", VIOLATION,
         flow=b"\x03\x00" + LOOPBACK + b"\x00\x50"),
    Talk("a one-way stream", "Streams", VIOLATION, one_way=b"x"),
    *broken(SESSION_BROKEN | {"LISTENING that ends early": message(LISTENING, bytes(9))}),
    *endings(),
    *SESSION_TAKEN,
]

# Numbers of qtun-relay/1, where they differ.
OFFER, REGISTER, FIND, KNOCK, ADMIT, PLAN, AGAIN, DONE, GONE, ABSENT, THROTTLED = range(3, 14)
LEG, REFUSED, LEG_ENDED, SLOW, PUBLIC_LISTEN, PUBLIC_LISTENING, PUBLIC_UNLISTEN, ENDED = range(16, 24)
TOKEN, RIGHTS, DENIED, RESTARTING = range(36, 40)
REPORT = bytes(7)
NOBODY = bytes(31) + b"\x09"
RELAY_HELLO = message(HELLO, b"\x01\x01")
RELAY_WELCOME = message(WELCOME, b"\x01\x00" + varint(1_800_000_000) + b"\x2d\x00\x00")
FIND_NOBODY = message(FIND, NOBODY + text(b"token"))
NODES_ONLY = "Rendezvous"


def _unexpected(names: dict[str, bytes], rule: str = NODES_ONLY) -> list[Talk]:
    return [Talk(name, rule, VIOLATION, control=data) for name, data in names.items()]


TO_RELAY = [
    Talk("FIND ahead of HELLO", NODES_ONLY, VIOLATION, greeting=lambda proof: FIND_NOBODY),
    Talk("a HELLO of version 0", NODES_ONLY, VERSION,
         greeting=lambda proof: message(HELLO, b"\x00\x00")),
    Talk("a HELLO that ends early", NODES_ONLY, VIOLATION,
         greeting=lambda proof: message(HELLO, b"\x01")),
    Talk("a HELLO byte by byte", NODES_ONLY, STAYS_OPEN, greeting=lambda proof: RELAY_HELLO,
         is_slow=True),
    Talk("a second stream", NODES_ONLY, VIOLATION | STREAM_LIMIT, flow=b"x"),
    Talk("a one-way stream", NODES_ONLY, VIOLATION | STREAM_LIMIT, one_way=b"x"),
    Talk("a second stream ahead of HELLO", NODES_ONLY, VIOLATION | STREAM_LIMIT,
         greeting=lambda proof: b"", flow=b"x"),
    *_unexpected({
        "HELLO twice": RELAY_HELLO,
        "WELCOME of a node": RELAY_WELCOME,
        "KNOCK of a node": message(KNOCK, b"\x01" + NOBODY + text(b"token")),
        "PLAN of a node": message(
            PLAN, b"\x01" + NOBODY + text(bytes(16)) + b"\x01\x00\x01\x00\x00" + REPORT + b"\x00\x00"),
        "GONE of a node": message(GONE, b"\x01"),
        "ABSENT of a node": message(ABSENT, NOBODY),
        "THROTTLED of a node": message(THROTTLED, NOBODY + b"\x05"),
        "RIGHTS of a node": message(RIGHTS, b"\x01\x00\x00"),
        "DENIED of a node": message(DENIED, b"\x04\x01"),
        "RESTARTING of a node": message(RESTARTING, b"\x05\x05"),
    }),
    *_unexpected({
        "LEG of a node": message(LEG, b"\x01" + bytes(40)),
        "REFUSED of a node": message(REFUSED, b"\x01\x02"),
        "ENDED of a leg of a node": message(LEG_ENDED, b"\x01"),
        "THROTTLED of a leg of a node": message(SLOW, b"\x01\x05"),
    }, "Relayed datagrams"),
    *_unexpected({
        "LISTEN at a relay that does not": message(
            PUBLIC_LISTEN, b"\x00\x01\x1f\x90\x00" + bytes(8) + b"\x00\x00"),
        "LISTENING of a node": message(PUBLIC_LISTENING, b"\x00\x00\x1f\x90\x00"),
        "ENDED of a node": message(ENDED, b"\x00\x0a"),
        "LISTEN that ends early": message(PUBLIC_LISTEN, b"\x00\x01\x1f"),
        "a host of 254 bytes": message(
            PUBLIC_LISTEN, b"\x00\x03\x00\x00" + text(bytes(254)) + bytes(8) + b"\x00\x00"),
        "a group's proof of 31 bytes": message(
            PUBLIC_LISTEN, b"\x00\x01\x1f\x90\x00" + bytes(8) + text(bytes(31)) + b"\x00"),
    }, "Public listeners"),
    *broken({
        "OFFER that ends early": message(OFFER, b"\x01" + REPORT[:5]),
        "OFFER of 33 candidates": message(OFFER, b"\x01" + REPORT + varint(33) + bytes(33 * 8)),
        "FIND that ends early": message(FIND, NOBODY[:20]),
        "FIND with a token of 2049 bytes": message(FIND, NOBODY + text(bytes(2049))),
        "ADMIT that ends early": message(ADMIT),
        "DONE that ends early": message(DONE),
        "TOKEN that ends early": message(TOKEN, b"\x10abc"),
        "TOKEN of 65 bytes": message(TOKEN, text(bytes(65))),
        "a body of 4097 bytes": message(0x2F0A, bytes(4097)),
    }),
    Talk("a TOKEN of nobody", NODES_ONLY, TOKEN_WRONG, control=message(TOKEN, text(bytes(16)))),
    Talk("ADMIT of no introduction", NODES_ONLY, STAYS_OPEN,
         control=message(ADMIT, b"\x07") + message(AGAIN, b"\x07") + message(DONE, b"\x07")),
    Talk("REGISTER without a token", NODES_ONLY, TOKEN_NEEDED, control=message(REGISTER)),
    Talk("ten OFFERs", NODES_ONLY, STAYS_OPEN,
         control=message(OFFER, b"\x01" + REPORT + b"\x00") * 10),
    Talk("unknown messages", NODES_ONLY, STAYS_OPEN,
         control=message(0x2F0A, bytes(4096)) + message(27) + message(43)),
    Talk("messages without end", "Error codes", TOO_MUCH, control=message(0x2F0A) * 20_000),
    Talk("DATAGRAM frames of noise", "Public listeners", STAYS_OPEN,
         datagrams=(b"", b"\xff", bytes(99))),
    *endings(),
]

TO_NODE = [
    Talk("KNOCK ahead of WELCOME", NODES_ONLY, VIOLATION,
         greeting=lambda proof: message(KNOCK, b"\x01" + NOBODY + text(b"token"))),
    Talk("a WELCOME that ends early", NODES_ONLY, VIOLATION,
         greeting=lambda proof: message(WELCOME, b"\x01\x00")),
    Talk("a WELCOME of nine ports", NODES_ONLY, VIOLATION,
         greeting=lambda proof: message(
             WELCOME, b"\x01\x00" + varint(1_800_000_000) + b"\x2d\x00\x09" + bytes(18))),
    *_unexpected({
        "WELCOME twice": RELAY_WELCOME,
        "HELLO of a relay": RELAY_HELLO,
        "OFFER of a relay": message(OFFER, b"\x01" + REPORT + b"\x00"),
        "REGISTER of a relay": message(REGISTER),
        "FIND of a relay": FIND_NOBODY,
        "ADMIT of a relay": message(ADMIT, b"\x01"),
        "AGAIN of a relay": message(AGAIN, b"\x01"),
        "DONE of a relay": message(DONE, b"\x01"),
        "TOKEN of a relay": message(TOKEN, text(bytes(16))),
        "LISTEN of a relay": message(
            PUBLIC_LISTEN, b"\x00\x01\x1f\x90\x00" + bytes(8) + b"\x00\x00"),
        "UNLISTEN of a relay": message(PUBLIC_UNLISTEN, b"\x00"),
    }),
    *broken({
        "KNOCK that ends early": message(KNOCK, b"\x01" + NOBODY[:9]),
        "PLAN that ends early": message(PLAN, b"\x01" + NOBODY + b"\x10"),
        "PLAN of 33 candidates": message(
            PLAN, b"\x01" + NOBODY + text(bytes(16)) + b"\x01\x00\x01\x00\x00" + REPORT + b"\x00"
            + varint(33) + bytes(33 * 8)),
        "LEG that ends early": message(LEG, b"\x01" + bytes(39)),
        "RIGHTS that end early": message(RIGHTS),
        "RESTARTING that ends early": message(RESTARTING, b"\x05"),
        "a body of 4097 bytes": message(0x2F0A, bytes(4097)),
    }),
    Talk("a stream of a relay", NODES_ONLY, VIOLATION | stream(0x10B, 0x104),
         flow=b"\x05\x00" + bytes(36)),
    Talk("a one-way stream", NODES_ONLY, VIOLATION, one_way=b"x"),
    Talk("words about introductions of nobody", NODES_ONLY, STAYS_OPEN,
         control=message(GONE, b"\x07") + message(LEG_ENDED, b"\x07") + message(SLOW, b"\x07\x09")
         + message(ABSENT, NOBODY)),
    Talk("KNOCK with a token of noise", "The token of FIND", STAYS_OPEN,
         control=message(KNOCK, b"\x01" + NOBODY + text(bytes(48)))),
    Talk("unknown messages", NODES_ONLY, STAYS_OPEN,
         control=message(0x2F0A, bytes(4096)) + message(27)),
    *endings(),
]

TABLES = {"share": TO_SHARE, "connect": TO_CONNECT, "relay": TO_RELAY, "node": TO_NODE}
