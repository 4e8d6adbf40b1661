"""What the packets say: the application protocol, and the bytes of HTTP/3 answers (RFC 9114)."""

import pathlib

from aioquic.buffer import Buffer

from harness.suite import require
from packets import capture, frames
from packets.secrets import KeyLog
from packets.trace import Connection, Trace

ENCRYPTED_EXTENSIONS, ALPN = 8, 16
DATA = 0x00


class Proof:
    """All connections of a capture that the browser's secrets open."""

    def __init__(self, folder: pathlib.Path, server: str) -> None:
        self._trace = Trace(
            capture.read(folder / "client.pcap"), {server}, KeyLog(folder / "client.keys"))

    @property
    def protocols(self) -> set[str]:
        """What the servers chose (RFC 7301), as their Encrypted Extensions say."""
        return {_protocol(connection) for connection in self._connections()}

    @property
    def packets(self) -> int:
        """Packets of the server that could be read."""
        return sum(packet.number is not None for packet in self._trace.of("server", "1rtt"))

    def bodies(self) -> list[bytes]:
        """The bodies of all answers."""
        return [
            _body(stream) for connection in self._connections()
            for number, stream in self._streams(connection) if number % 4 == 0
        ]

    def _connections(self) -> list[Connection]:
        found = {id(packet.connection): packet.connection for packet in self._trace.of("server", "1rtt")
                 if packet.connection is not None}
        require(bool(found), "no packet of the server could be read")
        return list(found.values())

    def _streams(self, connection: Connection) -> list[tuple[int, bytes]]:
        """The server's side of each stream, as far as it has no hole."""
        pieces: dict[int, dict[int, bytes]] = {}
        for packet in self._trace.of("server", "1rtt"):
            if packet.connection is not connection:
                continue
            for frame in packet.frames:
                if frames.STREAM_FIRST <= frame.type <= frames.STREAM_LAST:
                    stream = pieces.setdefault(frame.stream, {})
                    if len(frame.data) > len(stream.get(frame.offset, b"")):
                        stream[frame.offset] = frame.data
        return [(number, _join(stream)) for number, stream in sorted(pieces.items())]


def _join(pieces: dict[int, bytes]) -> bytes:
    found = bytearray()
    for offset, data in sorted(pieces.items()):
        if offset > len(found):
            break
        found += data[len(found) - offset:]
    return bytes(found)


def _body(stream: bytes) -> bytes:
    """What the DATA frames of a stream hold (RFC 9114 §7.2.1)."""
    buffer, body = Buffer(data=stream), b""
    while not buffer.eof():
        kind, size = buffer.pull_uint_var(), buffer.pull_uint_var()
        data = buffer.pull_bytes(min(size, buffer.capacity - buffer.tell()))
        if kind == DATA:
            body += data
    return body


def _protocol(connection: Connection) -> str:
    for kind, body in connection.messages("server", "handshake"):
        if kind == ENCRYPTED_EXTENSIONS:
            buffer = Buffer(data=body)
            buffer.pull_uint16()
            while not buffer.eof():
                extension, size = buffer.pull_uint16(), buffer.pull_uint16()
                data = buffer.pull_bytes(size)
                if extension == ALPN:
                    return data[3:3 + data[2]].decode()
    return ""
