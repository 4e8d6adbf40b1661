"""What a victim answers to the addresses that were forged, seen where they would be."""

import socket
import threading
import time
from collections import Counter

from crowds.initial import RETRY
from lab.internet import Node

ETH_P_IP = 0x0800
# Times are told apart by so much.
SLICE = 0.05
# What keeps no state.
STATELESS = ("retry", "version negotiation", "reset", "close")


def kind(packet: bytes) -> str:
    """Names a UDP payload by its first bytes."""
    if not packet:
        return "empty"
    if packet[0] & 0xC0 == 0:
        return f"0x{packet[0]:02x}"
    if packet[0] & 0x80 == 0:
        return "reset"
    if packet[1:5] == bytes(4):
        return "version negotiation"
    return "retry" if packet[0] >> 4 & 3 == RETRY else "handshake"


class Answers:
    """Counts what comes to a node from a UDP port, in the background, until `close`."""

    def __init__(self, node: Node, port: int) -> None:
        with node.inside():
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.settimeout(0.1)
        self._port = port.to_bytes(2, "big")
        self.bytes = 0
        self.packets: Counter[str] = Counter()
        self.first: dict[str, float] = {}
        self._slices: dict[str, Counter[int]] = {}
        self._is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_over = True
        self._thread.join()
        self._socket.close()

    def per_second(self, *kinds: str) -> int:
        """The most of these kinds that came within a second."""
        slices: Counter[int] = Counter()
        for name in kinds:
            slices.update(self._slices.get(name, {}))
        width = round(1 / SLICE)
        return max((sum(slices[start + step] for step in range(width)) for start in slices), default=0)

    def _run(self) -> None:
        while not self._is_over:
            try:
                packet = self._socket.recv(1 << 16)
            except TimeoutError:
                continue
            start = (packet[0] & 15) * 4
            if packet[9] == socket.IPPROTO_UDP and packet[start:start + 2] == self._port:
                self._note(packet[start + 8:])

    def _note(self, payload: bytes) -> None:
        now, name = time.monotonic(), kind(payload)
        self.bytes += len(payload)
        self.packets[name] += 1
        self.first.setdefault(name, now)
        self._slices.setdefault(name, Counter())[int(now / SLICE)] += 1
