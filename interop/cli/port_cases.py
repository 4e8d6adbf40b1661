"""Hostile bytes at the TCP port of a share: dropped or answered in few words, and at no cost."""

import base64
import contextlib
import os
import socket
import ssl
import struct
import threading
import time

from cli.group import Group
from cli.sockets import DialledSocket, dial, echo, pattern, receive_exactly, receive_to_end
from cli.stage import Connect, Share, Stage, end
from harness.suite import Failure, require

GROUP = Group("port")
MIB = 1 << 20
MEMORY_MAX = 8 * MIB
# What the program grants to strangers.
STRANGER_SECONDS = 10
STRANGERS_OF_SOURCE = 32
PREFACE = b"*qtun/1\n"
# Another source than the honest peer's.
SOURCE = "127.0.0.2"


def _dial_tcp(port: int) -> DialledSocket:
    connection = DialledSocket()
    connection.bind((SOURCE, 0))
    connection.settimeout(STRANGER_SECONDS + 5)
    connection.dial(port)
    return connection


def _dial_tls(port: int, *protocols: str) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    connection = _dial_tcp(port)
    connection.require_connected()
    return context.wrap_socket(connection)


def _rest(connection: socket.socket) -> bytes:
    """Everything until the other side ends it, in whichever way."""
    data = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := connection.recv(65536):
            data += piece
    connection.close()
    return data


def _trickle(connection: socket.socket, data: bytes, pause: float) -> None:
    """Sends byte by byte, for as long as it is let."""
    with contextlib.suppress(OSError):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(pause)


def _upgrade(port: int) -> ssl.SSLSocket:
    """A WebSocket that the share has accepted."""
    connection = _dial_tls(port, "http/1.1")
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET /qtun HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: chat, qtun.1\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(4096)
    require(answer.startswith(b"HTTP/1.1 101 "), f"no upgrade: {answer!r}")
    return connection


def _frame(opcode: int, payload: bytes) -> bytes:
    """A masked frame of a short payload (RFC 6455 §5.2)."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked


class Beside:
    """A tunnel over TCP that works before, during and after what strangers do."""

    def __init__(self, stage: Stage) -> None:
        service = stage.service(echo)
        self.share: Share = stage.share(service.port)
        self._connect: Connect = stage.connect(self.share.ticket, "--carrier", "tcp")
        self.port = self.share.invitation.udp_port
        self._process = self.share.process
        self.require_works()
        self._client = dial(self._connect.port)
        self._memory = self._process.resident_bytes
        self._descriptors = self._process.descriptors

    def require_works(self) -> None:
        with dial(self._connect.port) as client:
            client.sendall(b"still there?")
            client.shutdown(socket.SHUT_WR)
            require(receive_to_end(client) == b"still there?", "a flow of the session is harmed")

    def require_unharmed(self) -> None:
        """No flow was harmed, old or new, and nothing is left of the strangers."""
        sent = pattern(40, 100_000)
        self._client.sendall(sent)
        require(receive_exactly(self._client, len(sent)) == sent, "the open flow is harmed")
        self.require_works()
        growth = self._process.resident_bytes - self._memory
        require(growth < MEMORY_MAX, f"the strangers cost {growth // 1024} KiB")
        # The open flow has one that was not counted.
        left = self._process.wait_for(
            lambda: self._process.descriptor_count <= len(self._descriptors) + 1,
            STRANGER_SECONDS + 2)
        require(bool(left), f"descriptors {self._process.descriptors}, before {self._descriptors}")
        self._client.close()
        require(end(self._connect.process, 15) == 0, "connect does not end well")


@GROUP.case("foreign-bytes")
def _foreign_bytes(stage: Stage) -> None:
    """What is no carrier is closed, with an HTTP answer or without a word."""
    beside = Beside(stage)
    for sent in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n", os.urandom(5000), b"\x16\x03\x01\xff\xff"]:
        connection = _dial_tcp(beside.port)
        connection.sendall(sent)
        with contextlib.suppress(OSError):  # the port may have closed it by now
            connection.shutdown(socket.SHUT_WR)
        answer = _rest(connection)
        require(len(answer) <= 16, f"{len(answer)} bytes answer {sent[:20]!r}")
    for protocols, sent, expected in [
        (["http/1.1"], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 404 "),
        ([], b"GET /qtun HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 426 "),
        (["http/1.1"], b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000, b"HTTP/1.1 400 "),
        (["h2"], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
        (["h2", "http/1.1"], b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b""),
        ([], PREFACE[:-1] + b"x", b""), ([], PREFACE + bytes(2), b""),
        ([], b"SSH-2.0-x\r\n", b""),
    ]:
        with contextlib.suppress(ConnectionError):  # a head may be refused before its end
            connection = _dial_tls(beside.port, *protocols)
            connection.sendall(sent)
            answer = _rest(connection)
            # What is refused with bytes still on their way may be reset before it is read.
            require(
                answer.startswith(expected) or (len(sent) > 8192 and not answer),
                f"{answer[:40]!r} answers {sent[:20]!r}")
            require(bool(answer) == bool(expected) or not answer, f"{answer[:40]!r}")
    beside.require_unharmed()


@GROUP.case("websocket-violations")
def _websocket_violations(stage: Stage) -> None:
    """Each is told its code in a Close frame, and closed."""
    beside = Beside(stage)
    oversized = bytes([0x82, 0xFF]) + struct.pack("!Q", 1 << 40) + bytes(4)
    for sent, code in [
        (b"\x82\x03abc", 1002), (b"GET / HTTP/1.1\r\n\r\n", 1002), (oversized, 1009),
        (_frame(1, b"text"), 1003), (_frame(2, b""), 1003), (_frame(0, b"x"), 1002),
        (_frame(8, struct.pack("!H", 3000) + b"bye"), 3000), (_frame(8, b""), 1000),
    ]:
        connection = _upgrade(beside.port)
        connection.sendall(sent)
        answer = _rest(connection)
        require(
            answer == bytes([0x88, 2]) + struct.pack("!H", code),
            f"{answer.hex()} answers {sent.hex()}")
    connection = _upgrade(beside.port)
    _trickle(connection, _frame(9, b"ping") + _frame(2, b"no datagram of ours"), 0.001)
    require(connection.recv(6) == b"\x8a\x04ping", "a ping is not answered")
    connection.close()
    beside.require_unharmed()


@GROUP.case("ping-flood", seconds=40, alone=True)
def _ping_flood(stage: Stage) -> None:
    """Who asks and does not read gets no memory."""
    beside = Beside(stage)
    connection = _upgrade(beside.port)
    connection.settimeout(2)
    flood = _frame(9, bytes(125)) * 1000
    sent = 0
    with contextlib.suppress(TimeoutError, OSError):
        while sent < 64 * MIB:
            connection.sendall(flood)
            sent += len(flood)
    require(sent > 4 * MIB, f"only {sent} bytes were sent")
    beside.require_works()
    connection.close()
    beside.require_unharmed()


@GROUP.case("slow-strangers", seconds=60)
def _slow_strangers(stage: Stage) -> None:
    """Nobody holds the port for longer than a handshake may take, however busy it looks."""
    beside = Beside(stage)
    hello = _client_hello()

    def head(connection: socket.socket) -> None:
        _trickle(connection, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000, 0.05)

    def datagrams(connection: socket.socket) -> None:
        _trickle(connection, PREFACE + b"\x00\x20" + b"\x40" * 31 + b"\xff\xff" * 400, 0.02)

    def idle_socket(connection: socket.socket) -> None:
        connection.sendall(_frame(2, b"\x2a" + bytes(60)))

    strangers = [
        (_dial_tcp, lambda connection: None),
        (_dial_tcp, lambda connection: _trickle(connection, hello, 0.1)),
        (_dial_tls, lambda connection: None), (_dial_tls, head), (_dial_tls, datagrams),
        (_upgrade, idle_socket),
    ]
    outcomes: list[float | Exception] = []

    def visit(enter, behave) -> None:
        started = time.monotonic()
        try:
            connection = enter(beside.port)
            behave(connection)
            _rest(connection)
            outcomes.append(time.monotonic() - started)
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=visit, args=stranger, daemon=True)
               for stranger in strangers * 4]
    for thread in threads:
        thread.start()
    beside.require_works()
    for thread in threads:
        thread.join(STRANGER_SECONDS * 4)
    require(len(outcomes) == len(threads), "a stranger is still there")
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise Failure(f"a stranger failed: {outcome!r}")
    # The trickle notices its end only with its next bytes.
    require(max(outcomes) < STRANGER_SECONDS + 5, f"one stayed for {max(outcomes):.1f} s")
    beside.require_unharmed()


@GROUP.case("many-strangers", seconds=60)
def _many_strangers(stage: Stage) -> None:
    """One source cannot take the places of others, nor keep the port busy with handshakes."""
    beside = Beside(stage)
    connections = [_dial_tcp(beside.port) for _ in range(STRANGERS_OF_SOURCE + 20)]
    time.sleep(0.5)
    turned_away = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            require(connection.recv(1) == b"", "a stranger gets bytes before it says anything")
        except ConnectionResetError:
            turned_away += 1
        except BlockingIOError:
            pass
    require(turned_away == 20, f"{turned_away} were turned away instead of 20")
    other = stage.connect(beside.share.ticket, "--carrier", "ws")
    with dial(other.port) as client:
        client.sendall(b"x")
        require(receive_exactly(client, 1) == b"x", "another source is not served")
    require(end(other.process, 15) == 0, "connect does not end well")
    for connection in connections:
        connection.close()
    beside.require_unharmed()


def _client_hello() -> bytes:
    """The first flight of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()
