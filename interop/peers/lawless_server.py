"""Plays the tables of `interop/rules` against a client, one connection for each row.

    lawless_server.py TABLE --port PORT --alpn ALPN --certificate FILE --key FILE

The client under test connects time and again. Every second connection is treated honestly and gets the
file that it asks for; the others get a row each, in order. One line with a JSON object for each row,
after the honest connection behind it.
"""

import argparse
import pathlib
import select
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicPacketType, pull_quic_header

from facts import report
from lawless import LawlessConnection
from rules import http3, stranger, transport
from rules.frames import stream
from rules.row import APPLICATION, HANDSHAKE, OPEN, Row, Side

SECONDS_MAX = 3
SECONDS_STREAM = 0.1
ID_BYTES = 8
# How a frame on the stream of the only request begins.
ANSWERS = (stream(0)[:2], stream(0, fin=True)[:2])
CONTENT = b"the file that was asked for"
TABLES = transport.TABLES | http3.TABLES | stranger.TABLES


class Visit:
    """One connection of the client: a row, or an honest one."""

    def __init__(
        self, row: Row | None, identifier: bytes, configuration: QuicConfiguration,
    ) -> None:
        self.row = row
        self.began = time.monotonic()
        self.ready_after: float | None = None
        self.quic = LawlessConnection(
            row, configuration=configuration, original_destination_connection_id=identifier)
        self._is_h3 = configuration.alpn_protocols == ["h3"]
        self._has_offended = row is None or row.send is None
        self._answered: set[int] = set()

    def datagrams(self) -> list[bytes]:
        """What to send now: the honest flight, and behind it the offence as soon as its keys exist."""
        now = time.monotonic()
        flight = [data for data, _ in self.quic.datagrams_to_send(now)]
        row = self.row
        if not self._has_offended and self._is_time(row.space):
            self._has_offended = True
            payloads = row.send(self.quic.side)
            flight += [self.quic.packet(row.space, data, row.reserved) for data in payloads]
            # An offence in the answer itself is all the answer that there is.
            if any(data[:2] in ANSWERS for data in payloads):
                self._answered = {0}
        if self._has_offended and self.quic.is_ready:
            self._answer()
            flight += [data for data, _ in self.quic.datagrams_to_send(now)]
        return flight

    def _is_time(self, space: str) -> bool:
        if space == APPLICATION:
            # The request shows that the client has opened its streams.
            return self.quic.is_ready and bool(self.quic.streams_ended)
        return self.quic.can_send(HANDSHAKE)

    def _answer(self) -> None:
        for number in sorted(self.quic.streams_ended - self._answered):
            if number % 4 == 0:
                self._answered.add(number)
                content = CONTENT
                if self._is_h3:
                    status = http3.frame(http3.HEADERS, http3.section(http3.STATUS))
                    content = status + http3.frame(http3.DATA, CONTENT)
                self.quic.send_stream_data(number, content, end_stream=True)

    def receive(self, data: bytes, peer) -> None:
        now = time.monotonic()
        self.quic.receive_datagram(data, peer, now)
        self.quic.take_events()
        if self.quic.is_ready and self.ready_after is None:
            self.ready_after = now - self.began

    @property
    def outcome(self) -> str:
        """What the client made of it, in the words of `rules.row`."""
        found = self.quic.outcome
        codes = [f"stream {code:#x}" for code in self.quic.stream_codes.values()]
        # With these a client of HTTP/0.9 or HTTP/3 ends a visit.
        if found in ("application 0x0", "application 0x100"):
            return codes[0] if codes else OPEN
        return found or (codes[0] if codes else "silence")

    @property
    def is_over(self) -> bool:
        # After an error of a stream nothing more need come.
        patience = SECONDS_STREAM if self.quic.stream_codes else SECONDS_MAX
        return self.quic.outcome is not None or time.monotonic() - self.began > patience


class Host:
    """Serves one visit after the other."""

    def __init__(self, options: argparse.Namespace, rows: list[Row]) -> None:
        self._configuration = QuicConfiguration(
            alpn_protocols=[options.alpn], is_client=False, connection_id_length=ID_BYTES)
        self._configuration.load_cert_chain(options.certificate, options.key)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", options.port))
        self._rows = rows
        self._visits: list[Visit] = []
        self._by_id: dict[bytes, Visit] = {}
        self._peer = None

    def run(self) -> None:
        while len(self._visits) < 2 * len(self._rows) or not self._visits[-1].is_over:
            current = self._visits[-1] if self._visits else None
            wait, timer = SECONDS_MAX, None
            if current is not None:
                self._send(current)
                timer = current.quic.get_timer()
                wait = 0.1 if timer is None else max(0, min(0.1, timer - time.monotonic()))
            if select.select([self._socket], [], [], wait)[0]:
                data, self._peer = self._socket.recvfrom(65536)
                self._route(data)
            elif timer is not None and time.monotonic() >= timer:
                current.quic.handle_timer(time.monotonic())
            if current is not None and current.is_over and current.quic.outcome is None:
                # The client shall not wait for its own patience to end.
                current.quic.close()
                self._send(current)
                current.quic._close_event = None

    def _send(self, visit: Visit) -> None:
        for data in visit.datagrams():
            self._socket.sendto(data, self._peer)

    def _route(self, data: bytes) -> None:
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=ID_BYTES)
        except ValueError:
            return
        visit = self._by_id.get(header.destination_cid)
        if visit is None:
            if header.packet_type != QuicPacketType.INITIAL or len(data) < 1200:
                return
            visit = self._begin(header.destination_cid, header.source_cid)
        visit.receive(data, self._peer)
        for identifier in visit.quic._host_cids:
            self._by_id[identifier.cid] = visit

    def _begin(self, identifier: bytes, source: bytes) -> Visit:
        number = len(self._visits)
        if number and number % 2 == 0:
            self._tell(number // 2 - 1)
        row = self._rows[number // 2] if number % 2 == 0 else None
        visit = Visit(row, identifier, self._configuration)
        if row is not None and row.ahead is not None:
            for data in row.ahead(identifier, source):
                self._socket.sendto(data, self._peer)
        self._visits.append(visit)
        self._by_id[identifier] = visit
        return visit

    def _tell(self, number: int) -> None:
        attack, honest = self._visits[2 * number:2 * number + 2]
        row = attack.row
        is_served = honest.outcome == OPEN and honest.ready_after is not None
        report(
            row=row.name, rule=row.rule, outcome=attack.outcome, expected=sorted(row.expected),
            seconds=round(honest.began - attack.began, 3),
            next_ms=round(honest.ready_after * 1000, 1) if is_served else None)

    def finish(self) -> None:
        self._tell(len(self._rows) - 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--alpn", default="hq-interop")
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--only", default="", help="rows whose names contain this")
    options = parser.parse_args()
    rows = [
        row for row in TABLES[options.table]
        if row.victim != "server" and options.only in row.name]
    host = Host(options, rows)
    report(listening=options.port, rows=len(rows))
    host.run()
    host.finish()


if __name__ == "__main__":
    main()
