"""A share, or a relay, that breaks its own rules: `interop/rules/talk.py`.

    lawless_hall.py connect|node --port PORT

Prints its ticket, or its name as a relay. Each connection gets a row, in order; one line with a JSON
object for each.
"""

import argparse
import base64
import pathlib
import select
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.ticket import Ticket
from facts import report
from raw_keys import KeyedConnection, configuration, identity_of
from rules import talk
from rules.row import APPLICATION, OPEN
from rules.talk import Talk

SECONDS_MAX = 5
# How long a node that has nothing to answer must have gone on.
SECONDS_QUIET = 0.15
CONTROL, FLOW, ONE_WAY = 0, 1, 3
ID_BYTES = 8


class Visit:
    """One connection that gets one row."""

    def __init__(self, row: Talk, is_share: bool, identifier: bytes, settings) -> None:
        self.row = row
        self.quic = KeyedConnection(
            configuration=settings, original_destination_connection_id=identifier)
        self.began = time.monotonic()
        self._is_share = is_share
        self._sent = 0
        self._said_at: float | None = None
        self._heard_before = 0

    def _say(self, data: bytes, is_slow: bool = False) -> list[bytes]:
        flight = []
        for piece in [bytes([byte]) for byte in data] if is_slow else [data]:
            self.quic.send_stream_data(CONTROL, piece)
            flight += self._flush() if is_slow else []
        self._sent += len(data)
        return flight

    def _flush(self) -> list[bytes]:
        return [data for data, _ in self.quic.datagrams_to_send(time.monotonic())]

    @property
    def _heard(self) -> int:
        return len(self.quic.bytes_received.get(CONTROL, b""))

    def datagrams(self) -> list[bytes]:
        flight = self._flush()
        # The other side speaks first.
        if self._said_at is None and self.quic.is_ready and self._heard:
            flight += self._offend()
        return flight

    def _offend(self) -> list[bytes]:
        row, flight = self.row, []
        self._said_at = time.monotonic()
        self._heard_before = self._heard
        if row.greeting is None:
            self._say(talk.HONEST_WELCOME if self._is_share else talk.RELAY_WELCOME)
        else:
            flight += self._say(row.greeting(b""), row.is_slow)
        if row.control:
            self._say(row.control)
        flight += self._flush()
        flight += [
            self.quic.packet(APPLICATION, data) for data in row.packets(FLOW, ONE_WAY)]
        if row.ending:
            packet = self.quic.end_stream(CONTROL, row.ending, self._sent)
            flight += [packet] if packet else []
        if self._is_share and not row.ends_connection:
            self._say(talk.message(talk.PING, talk.text(b"are you there")))
        return flight + self._flush()

    @property
    def _is_quiet(self) -> bool:
        if self._said_at is None or self.row.ends_connection:
            return False
        if self._is_share:
            return self._heard > self._heard_before
        return time.monotonic() - self._said_at > SECONDS_QUIET

    @property
    def is_over(self) -> bool:
        return (self.quic.outcome is not None or self._is_quiet
                or time.monotonic() - self.began > SECONDS_MAX)

    @property
    def outcome(self) -> str:
        if self.quic.outcome is not None:
            return self.quic.outcome
        if FLOW in self.quic.stream_codes:
            return f"stream {self.quic.stream_codes[FLOW]:#x}"
        return OPEN if self._is_quiet else "silence"


def serve(rows: list[Talk], is_share: bool, port: int, key: Ed25519PrivateKey) -> None:
    settings = configuration("qtun/1" if is_share else "qtun-relay/1", False, key)
    hall = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hall.bind(("127.0.0.1", port))
    visits: dict[bytes, Visit] = {}
    for row in rows:
        current, peer = None, None
        while current is None or not current.is_over:
            if current is not None:
                for data in current.datagrams():
                    hall.sendto(data, peer)
            if not select.select([hall], [], [], 0.02)[0]:
                if current is not None:
                    now = time.monotonic()
                    if now >= (current.quic.get_timer() or now + 1):
                        current.quic.handle_timer(now)
                continue
            data, source = hall.recvfrom(65536)
            try:
                header = pull_quic_header(Buffer(data=data), host_cid_length=ID_BYTES)
            except ValueError:
                continue
            visit = visits.get(header.destination_cid)
            if visit is None and header.packet_type == QuicPacketType.INITIAL and current is None:
                visit = Visit(row, is_share, header.destination_cid, settings)
                visits[header.destination_cid] = visit
                current, peer = visit, source
            if visit is None or visit is not current:
                continue
            visit.quic.receive_datagram(data, source, time.monotonic())
            visit.quic.take_events()
            visits |= {own.cid: visit for own in visit.quic._host_cids}
        outcome = current.outcome
        if current.quic.outcome is None:
            # 0: it is needed no more.
            current.quic.close(0)
            for data, _ in current.quic.datagrams_to_send(time.monotonic()):
                hall.sendto(data, peer)
        report(
            row=row.name, rule=f"docs/protocol.md, {row.rule}", outcome=outcome,
            expected=sorted(row.expected), seconds=round(time.monotonic() - current.began, 3))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", choices=["connect", "node"])
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    key = Ed25519PrivateKey.generate()
    if options.table == "connect":
        place = ((bytes([127, 0, 0, 1]), options.port),)
        report(name=Ticket(identity_of(key), bytes(16), 0, place).text)
    else:
        text = base64.b32encode(identity_of(key)).decode().rstrip("=").lower()
        report(name=f"{text}@127.0.0.1:{options.port}")
    serve(talk.TABLES[options.table], options.table == "connect", options.port, key)


if __name__ == "__main__":
    main()
