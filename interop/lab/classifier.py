"""What a router does to UDP, seen from a host behind it and a server with 2 addresses x 2 ports."""

import dataclasses
import select
import socket

from lab.internet import Node

PORTS = (3478, 3479)
PATIENCE = 0.3


@dataclasses.dataclass(frozen=True)
class Verdict:
    """In the words of `lab.nat`."""

    mapping: str
    filtering: str
    remaps: bool
    # Between the ports of mappings made one after the other.
    steps: tuple[int, ...]
    keeps_port: bool


class Classifier:
    """Holds the server's four sockets, by (address, port)."""

    def __init__(self, server: Node) -> None:
        self._server = {}
        with server.inside():
            for address in server.addresses[:2]:
                for port in PORTS:
                    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    udp.bind((address, port))
                    self._server[address, port] = udp
        first, second = server.addresses[:2]
        self._same = (first, PORTS[0])
        self._other_port = (first, PORTS[1])
        self._other_address = (second, PORTS[0])
        self._other_both = (second, PORTS[1])

    def close(self) -> None:
        for udp in self._server.values():
            udp.close()

    def classify(self, host: Node) -> Verdict:
        """Asks everything; each question gets a socket of its own, for some answers leave traces."""
        with self._socket(host) as udp:
            places = [
                self._mapped(udp, place)
                for place in (self._same, self._other_port, self._other_address, self._other_both)]
            port = udp.getsockname()[1]
        if None in places:
            return Verdict("blocked", "blocked", False, (), False)
        mapping = (
            "EIM" if len(set(places)) == 1
            else "ADM" if places[0] == places[1] and places[2] == places[3] else "ADPM")
        steps = tuple(b[1] - a[1] for a, b in zip(places, places[1:]))
        filtering = (
            "EIF" if self._passes(host, self._other_both)
            else "ADF" if self._passes(host, self._other_port) else "APDF")
        return Verdict(mapping, filtering, self._remaps(host), steps, places[0][1] == port)

    def _socket(self, host: Node) -> socket.socket:
        with host.inside():
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((host.addresses[0], 0))
        return udp

    def _mapped(self, udp: socket.socket, place: tuple[str, int]) -> tuple[str, int] | None:
        udp.sendto(b"where am I", place)
        server = self._server[place]
        return server.recvfrom(64)[1] if _readable(server) else None

    def _passes(self, host: Node, place: tuple[str, int]) -> bool:
        """Whether a host that has sent to the first place hears from this one."""
        with self._socket(host) as udp:
            mapped = self._mapped(udp, self._same)
            if mapped is None:
                return False
            self._server[place].sendto(b"hello", mapped)
            return _readable(udp)

    def _remaps(self, host: Node) -> bool:
        """Whether a packet that came before anything was sent spoils the port."""
        with self._socket(host) as udp:
            mapped = self._mapped(udp, self._same)
            if mapped is None or mapped[1] != udp.getsockname()[1]:
                return False
        with self._socket(host) as udp:
            port = udp.getsockname()[1]
            self._server[self._other_both].sendto(b"unasked", (mapped[0], port))
            _readable(udp, 0.05)
            later = self._mapped(udp, self._other_both)
            return later is not None and later[1] != port


def _readable(udp: socket.socket, seconds: float = PATIENCE) -> bool:
    return bool(select.select([udp], [], [], seconds)[0])
