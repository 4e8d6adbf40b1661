"""Stands on the path between a client and a server, and meddles (RFC 9000 §21.12).

    path_attacker.py MANNER --port PORT --server PORT [--seed SEED]

One line with a JSON object when it listens. Manners: `inject` puts garbage and spoilt copies between the
datagrams, `duplicate` sends each twice, `corrupt` spoils one in ten; `negotiation`, `retry` and
`initial` answer each first flight with a forgery ahead of the server's answer, and so do, with right
keys, `initial-ack`, an ACK of what was never sent, and `initial-frame`, a frame of another level.
`versions`, `close` and `initial-ping` deny the first connection only: Version Negotiation without its
version, and, with right keys, CONNECTION_CLOSE and PING.
"""

import argparse
import pathlib
import random
import select
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from aioquic.buffer import Buffer
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicProtocolVersion, encode_quic_retry, pull_quic_header

from facts import report
from rules import stranger
from rules.frames import HANDSHAKE_DONE, PING, ack, varint

CORRUPT_RATE = 0.1
DENIALS = ("versions", "close", "initial-ping")
INITIAL_BYTES = 1200
VERSION = QuicProtocolVersion.VERSION_1


def forged_initial(first: bytes, client: bytes, payload: bytes) -> bytes:
    """An Initial of the server; its keys follow from the client's first ID (RFC 9001 §5.2)."""
    pair = CryptoPair()
    pair.setup_initial(cid=first, is_client=False, version=VERSION)
    header = stranger.long_header(0, VERSION, client, stranger.ID) + b"\x00"
    payload += bytes(INITIAL_BYTES - len(header) - 2 - 4 - 16 - len(payload))
    header += (0x4000 | 4 + len(payload) + 16).to_bytes(2, "big") + bytes(4)
    return pair.encrypt_packet(header, payload, 0)


class Attacker:
    """Passes datagrams on, in its own manner."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._manner = options.manner
        self._random = random.Random(options.seed)
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", options.port))
        self._server = ("127.0.0.1", options.server)
        # One socket towards the server for each client.
        self._backs: dict[tuple, socket.socket] = {}
        self._clients: dict[socket.socket, tuple] = {}
        self._seen: set[bytes] = set()

    def run(self) -> None:
        while True:
            for ready in select.select([self._front, *self._clients], [], [])[0]:
                if ready is self._front:
                    data, client = self._front.recvfrom(65536)
                    back = self._back(client)
                    self._forge(data, client)
                    self._pass(data, lambda piece: back.sendto(piece, self._server))
                else:
                    data = ready.recv(65536)
                    client = self._clients[ready]
                    self._pass(data, lambda piece: self._front.sendto(piece, client))

    def _back(self, client: tuple) -> socket.socket:
        if client not in self._backs:
            back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            back.bind(("127.0.0.1", 0))
            self._backs[client] = back
            self._clients[back] = client
        return self._backs[client]

    def _pass(self, data: bytes, send) -> None:
        match self._manner:
            case "inject":
                send(self._random.randbytes(self._random.choice([0, 1, 20, 43, 1200])))
                send(self._spoilt(data))
                send(data[:self._random.randrange(len(data))])
                send(data)
                send(self._spoilt(data))
            case "duplicate":
                send(data)
                send(data)
            case "corrupt" if self._random.random() < CORRUPT_RATE:
                send(self._spoilt(data))
            case _:
                send(data)

    def _spoilt(self, data: bytes) -> bytes:
        spoilt = bytearray(data)
        offset = self._random.randrange(len(spoilt))
        # Another version brings Version Negotiation, which nothing protects: `versions` is about it.
        if not (data[0] & 0x80 and 1 <= offset <= 4):
            spoilt[offset] ^= self._random.randrange(1, 256)
        return bytes(spoilt)

    def _forge(self, data: bytes, client: tuple) -> None:
        if not data or data[0] & 0xF0 != 0xC0:
            return
        header = pull_quic_header(Buffer(data=data), host_cid_length=8)
        first, own = header.destination_cid, header.source_cid
        if own in self._seen or (self._manner in DENIALS and self._seen):
            return
        self._seen.add(own)
        match self._manner:
            case "negotiation":
                forgeries = [stranger.negotiation(own, first, VERSION, stranger.UNKNOWN)]
            case "versions":
                forgeries = [stranger.negotiation(own, first, stranger.UNKNOWN)]
            case "retry":
                # Once with a wrong tag, once with the right one of another first ID.
                forgeries = [stranger.retry(own, stranger.ID, b"token"), encode_quic_retry(
                    version=VERSION, source_cid=stranger.ID, destination_cid=own,
                    original_destination_cid=stranger.ID, retry_token=b"token")]
            case "initial":
                forgeries = [forged_initial(stranger.ID, own, PING)]
            case "initial-ack":
                forgeries = [forged_initial(first, own, ack(1 << 20))]
            case "initial-frame":
                forgeries = [forged_initial(first, own, HANDSHAKE_DONE)]
            case "initial-ping":
                forgeries = [forged_initial(first, own, PING)]
            case "close":
                forgeries = [forged_initial(first, own, b"\x1c" + varint(1) + b"\x00\x00")]
            case _:
                forgeries = []
        for forgery in forgeries:
            self._front.sendto(forgery, client)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("manner")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--server", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    attacker = Attacker(options)
    report(listening=options.port, seed=options.seed)
    attacker.run()


if __name__ == "__main__":
    main()
