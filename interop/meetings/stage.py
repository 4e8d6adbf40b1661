"""A relay in a small internet, and pairs that meet there."""

import contextlib
import os
import socket
import tempfile
import threading
import time

from lab.distance import DistantInternet
from lab.internet import Node, Router
from meetings.pair import Pair, Run
from meetings.programs import Program

# Nothing that works takes longer, on however busy a machine.
PATIENCE = 25.0


class Stage:
    """The internet, the relay, and a second address that answers STUN, as two vantage points need."""

    def __init__(self, qtun: str, round_trip: float, has_ipv6: bool = False) -> None:
        self.qtun = os.path.abspath(qtun)
        self._stack = contextlib.ExitStack()
        self.folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="qtun-nat-"))
        self.round_trip = round_trip
        # Where programs connect to, by node.
        self._targets: dict[str, int] = {}
        self.rendezvous: list[str] = []
        self.vantage: list[str] = []
        try:
            self.net = self._stack.enter_context(DistantInternet(qtun, round_trip, has_ipv6))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def serve(
        self, relay: Node | None = None, vantage: Node | None = None, words: tuple[str, ...] = (),
    ) -> Program:
        """Starts the relay, with these options, and another one that only answers STUN."""
        self.relay = relay or self.net.public("relay")
        program = self.start_relay(self.relay, *words)
        self.rendezvous = [program.first_line()]
        vantage = vantage or self.net.public("vantage")
        self.start_relay(vantage).first_line()
        self.vantage = [vantage.addresses[0]]
        return program

    def serve_halfway(self, *words: str) -> Program:
        """Starts the relay where half of the way between two peers is, and nothing is lost by it."""
        relay = self.net.public("relay")
        self.net.bring_near(relay)
        return self.serve(relay, words=words)

    def start_relay(self, node: Node, *words: str) -> Program:
        return Program(
            self.net, node, self.qtun, self.folder, "relay", "--open", "--name", node.addresses[0],
            "--identity", f"{self.folder}/{node.name.replace(' ', '-')}", *words)

    def homes(self, letters: str) -> tuple[list[Router], Node, Node]:
        """Two routers, and a host behind each."""
        routers = [self.net.router(letter) for letter in letters]
        return routers, self.net.host(routers[0]), self.net.host(routers[1])

    def relayed(self) -> int:
        return self.relay.bytes_passed()

    def target(self, node: Node) -> int:
        """The port of a service in a node that sends back what it gets."""
        if node.name not in self._targets:
            with node.inside():
                server = socket.create_server(("127.0.0.1", 0), backlog=64)
            self._stack.callback(server.close)
            threading.Thread(target=accept, args=(server,), daemon=True).start()
            self._targets[node.name] = server.getsockname()[1]
        return self._targets[node.name]

    def meet(
        self, pairs: list[Pair], skew: float, spacing: float = 1.0, patience: float = PATIENCE,
        expects_relay: bool = False,
    ) -> list[Run]:
        """Starts both sides of each pair `skew` seconds apart, the pairs `spacing` seconds apart."""
        steps = sorted(
            (number * spacing + is_later * skew, number, is_later)
            for number in range(len(pairs)) for is_later in (False, True))
        begin = time.monotonic()
        try:
            for due, number, is_later in steps:
                time.sleep(max(0.0, begin + due - time.monotonic()))
                pairs[number].start(is_later)
            for pair in pairs:
                pair.wait(patience, expects_relay)
            return [pair.judge() for pair in pairs]
        finally:
            for pair in pairs:
                pair.end()


def accept(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(1 << 16):
            connection.sendall(data)
