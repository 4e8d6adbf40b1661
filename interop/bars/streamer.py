"""One end of a TCP connection on which each side sends pseudo-random bytes, and checks what it gets.

    python3 streamer.py serve SEED RATE     # prints its port, takes the first connection that says something
    python3 streamer.py dial SEED RATE      # says that it is ready, and reads the port to connect to
    python3 streamer.py echo SEED RATE      # the same, to a service that sends back what it gets

RATE is in bytes per second, 0 for as fast as it goes, -1 for a single byte. It sends until it reads a line
on its standard input, then ends its direction, waits for the end of the other one, and prints what it saw as
JSON: how much was sent and received, the offset of the first wrong byte, when the first bytes came, and when
none came for longer than GAP. Times are those of time.time().
"""

import json
import random
import select
import socket
import sys
import time

GAP = 0.02
CHUNK = 1 << 16
# A sender with a rate speaks this often.
BEAT = 0.005
PATIENCE = 30.0


class Bytes:
    """The same endless series of bytes for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._rest = memoryview(b"")

    def take(self, count: int) -> memoryview:
        """The next bytes, `count` of them at most."""
        if not self._rest:
            self._rest = memoryview(self._chance.randbytes(CHUNK))
        piece, self._rest = self._rest[:count], self._rest[count:]
        return piece

    def give_back(self, piece: memoryview) -> None:
        """The end of what was taken last."""
        self._rest = memoryview(bytes(piece) + bytes(self._rest))


class End:
    """One of the two."""

    def __init__(self, connection: socket.socket, sends: int, receives: int, rate: int) -> None:
        self._socket, self._rate = connection, rate
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self._out, self._in = Bytes(sends), Bytes(receives)
        self._began = self._last = time.time()
        self.report = {
            "sent": 0, "received": 0, "wrong": None, "first": None, "gaps": [], "ended": False, "error": ""}

    def run(self) -> None:
        is_sending, deadline = True, None
        try:
            while not self.report["ended"]:
                due = self._due() if is_sending else 0
                ready, writable, _ = select.select(
                    [self._socket, *([sys.stdin] if is_sending else [])], [self._socket] if due else [], [],
                    BEAT if is_sending and not due else 1.0)
                if is_sending and sys.stdin in ready:
                    is_sending, deadline = False, time.time() + PATIENCE
                    self._socket.shutdown(socket.SHUT_WR)
                elif is_sending and writable:
                    self._send(due)
                if self._socket in ready:
                    self._receive()
                if deadline and time.time() > deadline:
                    raise TimeoutError("the other direction does not end")
        except OSError as error:
            self.report["error"] = repr(error)

    def _due(self) -> int:
        """How much may be sent now."""
        if self._rate <= 0:
            return CHUNK if self._rate == 0 else 1 - self.report["sent"]
        return max(0, int((time.time() - self._began) * self._rate) - self.report["sent"])

    def _send(self, count: int) -> None:
        piece = self._out.take(count)
        try:
            sent = self._socket.send(piece)
        except BlockingIOError:
            sent = 0
        self.report["sent"] += sent
        if sent < len(piece):
            self._out.give_back(piece[sent:])

    def _receive(self) -> None:
        data = memoryview(self._socket.recv(CHUNK))
        now = time.time()
        if not data:
            self.report["ended"] = True
            return
        if self.report["first"] is None:
            self.report["first"] = now
        elif now - self._last > GAP:
            self.report["gaps"].append([self._last, now])
        self._last = now
        while data and self.report["wrong"] is None:
            expected = self._in.take(len(data))
            if data[:len(expected)] != expected:
                self.report["wrong"] = self.report["received"]
            self.report["received"] += len(expected)
            data = data[len(expected):]


def serve() -> socket.socket | None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            # Told to end before anybody came.
            if server not in select.select([server, sys.stdin], [], [])[0]:
                return None
            connection = server.accept()[0]
            # A share looks whether somebody listens here, and goes.
            if connection.recv(1, socket.MSG_PEEK):
                return connection
            connection.close()


def dial() -> socket.socket | None:
    print("ready", flush=True)
    port = sys.stdin.readline().strip()
    return socket.create_connection(("127.0.0.1", int(port))) if port else None


def main() -> None:
    role, seed, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    connection = serve() if role == "serve" else dial()
    if connection is None:
        return
    sends, receives = {"serve": (1, 0), "dial": (0, 1), "echo": (0, 0)}[role]
    end = End(connection, 2 * seed + sends, 2 * seed + receives, rate)
    with connection:
        end.run()
    print(json.dumps(end.report), flush=True)


if __name__ == "__main__":
    main()
