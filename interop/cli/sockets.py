"""The local programs at both ends of a tunnel: a service, and what a client does with a socket."""

import errno
import queue
import random
import socket
import struct
import threading
from collections.abc import Callable

from harness.suite import Failure

SECONDS_MAX = 25
PIECE = 65536
Handler = Callable[[socket.socket], object]


class Service:
    """A TCP service on 127.0.0.1 that handles each connection in a thread of its own."""

    def __init__(self, handle: Handler, port: int = 0, receive_buffer: int | None = None) -> None:
        self._handle = handle
        self._outcomes: queue.Queue = queue.Queue()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def outcome(self, seconds: float = SECONDS_MAX):
        """What the next handler returned; raises what it raised."""
        try:
            value = self._outcomes.get(timeout=seconds)
        except queue.Empty:
            raise Failure(f"the service saw no connection end within {seconds} s") from None
        if isinstance(value, Exception):
            raise value
        return value

    def close(self) -> None:
        # Closing alone would leave the thread in accept(2), and the port bound with it.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(SECONDS_MAX)
        try:
            with connection:
                # An empty connection is the share finding out whether the service is there.
                if connection.recv(1, socket.MSG_PEEK):
                    self._outcomes.put(self._handle(connection))
        except Exception as error:
            self._outcomes.put(error)


def echo(connection: socket.socket) -> int:
    """Sends everything back; returns how much that was."""
    total = 0
    while piece := connection.recv(PIECE):
        connection.sendall(piece)
        total += len(piece)
    return total


class DialledSocket(socket.socket):
    """A connection that may be reset before connect(2) returns, which alone says so then; here the
    next call says it, as if the reset had come a moment later."""

    _was_reset = False

    def dial(self, port: int) -> None:
        try:
            self.connect(("127.0.0.1", port))
        except ConnectionResetError:
            self._was_reset = True

    def require_connected(self) -> None:
        if self._was_reset:
            raise ConnectionResetError(errno.ECONNRESET, "reset while connecting")

    def recv(self, *arguments) -> bytes:
        self.require_connected()
        return super().recv(*arguments)

    def recv_into(self, *arguments) -> int:
        self.require_connected()
        return super().recv_into(*arguments)

    def send(self, *arguments) -> int:
        self.require_connected()
        return super().send(*arguments)

    def sendall(self, *arguments) -> None:
        self.require_connected()
        super().sendall(*arguments)

    def shutdown(self, how: int) -> None:
        self.require_connected()
        super().shutdown(how)


def dial(port: int, send_buffer: int | None = None, receive_buffer: int | None = None):
    """A connection to this port of 127.0.0.1."""
    connection = DialledSocket()
    if send_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(SECONDS_MAX)
    connection.dial(port)
    return connection


def receive_to_end(connection: socket.socket) -> bytes:
    """Everything up to the other side's FIN."""
    pieces = []
    while piece := connection.recv(PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes; fewer mean that the other side ended too soon."""
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(min(PIECE, count - len(data)))
        if not piece:
            raise Failure(f"the connection ended after {len(data)} of {count} bytes")
        data += piece
    return bytes(data)


def reset(connection: socket.socket) -> None:
    """Ends a connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def ending(connection: socket.socket) -> str:
    """How the other side ends the connection: `FIN` or `RST`; reads and drops data until then."""
    try:
        receive_to_end(connection)
    except ConnectionResetError:
        return "RST"
    return "FIN"


def pattern(seed: int, count: int) -> bytes:
    """Bytes that differ from seed to seed and are the same in every run."""
    return random.Random(seed).randbytes(count)


def free_tcp_port() -> int:
    """A port of 127.0.0.1 where nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
