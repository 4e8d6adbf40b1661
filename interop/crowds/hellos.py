"""ClientHellos that never end (the length in their head says 16 MiB), from addresses that are the sender's."""

import os
import select
import socket
import time

from crowds import initial

# handshake_type client_hello and its length.
HEAD = b"\x01\xff\xff\xff"
PIECE = 1000


class Connection:
    """One of them; forgets all keys of the server, since only Initial packets are of interest."""

    def __init__(self, out: socket.socket, place: tuple[str, int]) -> None:
        self._out, self._place = out, place
        self.scid = os.urandom(8)
        self._dcid, self._token = os.urandom(18), b""
        self._number = 0
        # Of the CRYPTO stream.
        self.sent = 0
        self.is_answered = False
        self.code: int | None = None

    def send(self) -> None:
        """One more piece."""
        data = (HEAD if self.sent == 0 else b"") + bytes(PIECE)
        frames = initial.crypto_frame(self.sent, data[:PIECE])
        packet = initial.seal(
            self._dcid, self._dcid, self.scid, self._number, frames, self._token)
        self._out.sendto(packet, self._place)
        self._number += 1
        self.sent += PIECE

    def repeat(self) -> None:
        """From the beginning: what was sent has no answer."""
        self.sent = 0
        self.send()

    def take(self, packet: bytes) -> None:
        found = initial.header(packet)
        if found is None:
            return
        if found.type == initial.RETRY and not self._token and not self.is_answered:
            self._token = initial.retry_token(packet, found)
            self._dcid = found.scid
            return self.repeat()
        frames = initial.open_initial(packet, self._dcid, b"server in")
        if frames is None:
            return
        self.is_answered = True
        code = initial.closes(frames)
        self.code = self.code if code is None else code


class Endless:
    """One that goes on until it is closed."""

    MAX = 300_000

    def __init__(self, out: socket.socket, place: tuple[str, int]) -> None:
        self._out = out
        self._connection = Connection(out, place)

    def run(self) -> tuple[int, int | None]:
        """How far it came, and the code that it was closed with."""
        connection = self._connection
        deadline = time.monotonic() + 5
        connection.send()
        while connection.code is None and time.monotonic() < deadline:
            if select.select([self._out], [], [], 0.02)[0]:
                connection.take(self._out.recv(1 << 16))
            elif connection.is_answered and connection.sent < self.MAX:
                connection.send()
            elif not connection.is_answered:
                connection.repeat()
        return connection.sent, connection.code


class Hellos:
    """Many at once."""

    def __init__(self, sockets: list[socket.socket], place: tuple[str, int], count: int) -> None:
        self._sockets = sockets
        self._all = [Connection(sockets[n % len(sockets)], place) for n in range(count)]
        self._by_id = {connection.scid: connection for connection in self._all}

    @staticmethod
    def bind(addresses: list[str]) -> list[socket.socket]:
        found = []
        for address in addresses:
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            one.bind((address, 0))
            one.setblocking(False)
            found.append(one)
        return found

    @property
    def admitted(self) -> int:
        """The server has a connection for them."""
        return sum(connection.is_answered for connection in self._all)

    def send(self, count: int, seconds: float) -> int:
        """`count` bytes of each, within so many seconds, in turns; the most that one has sent."""
        deadline = time.monotonic() + seconds
        for connection in self._all:
            connection.send()
            self._receive(0)
        again = time.monotonic() + 1
        while time.monotonic() < deadline:
            is_due = time.monotonic() >= again
            if is_due:
                again = time.monotonic() + 1
            busy = False
            for connection in self._all:
                if connection.is_answered and connection.sent + PIECE <= count:
                    connection.send()
                    busy = True
                elif not connection.is_answered and is_due:
                    connection.repeat()
                if busy and connection.sent % (16 * PIECE) == 0:
                    self._receive(0)
            self._receive(0 if busy else 0.02)
        return max(connection.sent for connection in self._all)

    def _receive(self, patience: float) -> None:
        for ready in select.select(self._sockets, [], [], patience)[0]:
            try:
                while True:
                    packet = ready.recv(1 << 16)
                    found = initial.header(packet)
                    if found and found.dcid in self._by_id:
                        self._by_id[found.dcid].take(packet)
            except BlockingIOError:
                continue
