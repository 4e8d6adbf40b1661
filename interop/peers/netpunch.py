"""netpunch as it is, written from what it does on the wire: the other side for `qtun punch`.

Faithful where it matters to a partner, weaknesses included: five questions 100 ms apart and then a sleep
of 30 s, an answer to every datagram whatever it holds, a control node that never pushes and never
forgets. It shares no code with qtun.

    netpunch.py -secret S -local HOST:PORT                               control node
    netpunch.py -secret S -local HOST:PORT -peer a -remote HOST:PORT     peer
    netpunch.py -secret S -vectors                                       signs the known payloads

A peer prints `started` and, at the end, `open LOCAL REMOTE SECONDS`, and ends with 0.
"""

import argparse
import base64
import hashlib
import hmac
import select
import socket
import sys
import time

SIGNATURE = 40
VECTORS = [b"a", b"b", b"x", b"y", b"z", b"i|a|127.0.0.1:5000", b"data"]
# mode: (message, gap in seconds, tries, next mode)
MODES = {
    "discovering": (None, 0.1, 5, "sleeping"),
    "pinging": (b"x", 0.1, 10, "sleeping"),
    "ponging": (b"y", 0.1, 10, "sleeping"),
    "closing": (b"z", 0.02, 5, "done"),
    "sleeping": (None, 30.0, 1, "discovering"),
}


def sign(secret: bytes, payload: bytes) -> bytes:
    """The datagram: the signature, a space, the payload."""
    text = base64.a85encode(hmac.new(secret, payload, hashlib.sha256).digest())
    if len(text) != SIGNATURE:
        raise SystemExit("impossible encoding error")
    return text + b" " + payload


def verify(secret: bytes, datagram: bytes) -> bytes:
    """The payload, or the text that netpunch hands up in its place."""
    if len(datagram) < SIGNATURE + 2:
        return b"[message skipped, since it is too short]"
    payload = datagram[SIGNATURE + 1:]
    text = base64.a85encode(hmac.new(secret, payload, hashlib.sha256).digest())
    if not hmac.compare_digest(text, datagram[:SIGNATURE]):
        return b"[message skipped due to invalid signature]"
    return payload


def shown(address: tuple) -> str:
    return f"{address[0]}:{address[1]}"


def parsed(text: str) -> tuple:
    host, _, port = text.rpartition(":")
    return host or "0.0.0.0", int(port)


def control(secret: bytes, udp: socket.socket) -> None:
    slots: dict[int, tuple] = {}
    while True:
        datagram, source = udp.recvfrom(2048)
        payload = verify(secret, datagram)
        if len(payload) != 1 or not b"a" <= payload <= b"z":
            continue
        slots[payload[0]] = source
        partner = ((payload[0] - ord("a")) ^ 1) + ord("a")
        if partner in slots:
            text = f"i|{chr(partner)}|{shown(slots[partner])}"
            udp.sendto(sign(secret, text.encode()), source)


class Peer:
    """The loop of a peer: send, then wait for the gap or for any datagram."""

    def __init__(self, secret: bytes, udp: socket.socket, slot: bytes, remote: tuple) -> None:
        self._secret, self._udp, self._slot, self._control = secret, udp, slot, remote
        self._mode, self._tries = "discovering", 0
        self.partner: tuple | None = None

    def run(self) -> None:
        while self._mode != "done":
            message, gap, tries, following = MODES[self._mode]
            if self._tries >= tries:
                self._mode, self._tries = following, 0
                continue
            self._tries += 1
            if self._mode == "discovering":
                self._udp.sendto(sign(self._secret, self._slot), self._control)
            elif message:
                self._udp.sendto(sign(self._secret, message), self.partner)
            if select.select([self._udp], [], [], gap)[0]:
                self._receive()

    def _receive(self) -> None:
        datagram, source = self._udp.recvfrom(2048)
        if not datagram:
            return
        payload = verify(self._secret, datagram)
        self._tries = 0
        fields = payload.split(b"|")
        if fields[0] == b"i" and len(fields) == 3:
            self.partner, self._mode = parsed(fields[2].decode()), "pinging"
        elif payload == b"x":
            self.partner, self._mode = source, "ponging"
        elif payload == b"y":
            self.partner, self._mode = source, "closing"
        elif payload == b"z":
            self._mode = "done"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-secret", required=True)
    parser.add_argument("-local", type=parsed)
    parser.add_argument("-peer")
    parser.add_argument("-remote", type=parsed)
    parser.add_argument("-vectors", action="store_true")
    arguments = parser.parse_args()
    secret = arguments.secret.encode()
    if arguments.vectors:
        for payload in VECTORS:
            print(sign(secret, payload).decode())
        return 0
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(arguments.local)
    if not arguments.peer:
        print("listening", shown(udp.getsockname()), flush=True)
        control(secret, udp)
    # Python takes longer to start than what is measured.
    print("started", flush=True)
    start = time.monotonic()
    peer = Peer(secret, udp, arguments.peer.encode(), arguments.remote)
    peer.run()
    # A `z` before anything else leaves netpunch without an address; it crashes.
    if peer.partner is None:
        return 2
    local, partner = shown(udp.getsockname()), shown(peer.partner)
    print("open", local, partner, f"{time.monotonic() - start:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
