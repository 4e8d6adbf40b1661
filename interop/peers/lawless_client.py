"""Plays the tables of `interop/rules` against a server, one connection for each row.

    lawless_client.py TABLE --port PORT [--only WORD]

After each row an honest connection fetches a file, at once and on a fresh connection. One line with a
JSON object for each row.
"""

import argparse
import pathlib
import socket
import ssl
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from aioquic.quic.configuration import QuicConfiguration

from facts import report
from lawless import Dialler
from rules import http3, stranger, transport
from rules.row import APPLICATION, OPEN, Row

# How long an answer may take, and how long it is waited for that none comes.
SECONDS_MAX = 3
SECONDS_SILENT = 0.03
# Far enough from the streams that rows use.
HONEST_STREAM = 4 * 95
TABLES = transport.TABLES | http3.TABLES | stranger.TABLES


class Victim:
    """The server under test, and how an honest client speaks to it."""

    def __init__(self, port: int, alpn: str, name: str) -> None:
        self.port = port
        self._alpn = alpn
        self._name = name

    def configuration(self) -> QuicConfiguration:
        return QuicConfiguration(
            alpn_protocols=[self._alpn], is_client=True, server_name="localhost",
            verify_mode=ssl.CERT_NONE)

    def request(self) -> bytes:
        if self._alpn == "h3":
            return http3.request(f"/{self._name}")
        return f"GET /{self._name}\r\n".encode()

    def fetch(self, dialler: Dialler, number: int) -> bool:
        """Whether a request on this connection is answered."""
        quic = dialler.quic
        quic.send_stream_data(number, self.request(), end_stream=True)
        return bool(dialler.wait(lambda: number in quic.streams_ended, SECONDS_MAX))

    def serves(self) -> float | None:
        """The milliseconds that an honest client needs from its first packet to the whole file."""
        started = time.monotonic()
        with Dialler(self.port, self.configuration()) as dialler:
            if not dialler.wait(lambda: dialler.quic.is_ready, SECONDS_MAX):
                return None
            if not self.fetch(dialler, 0):
                return None
        return round((time.monotonic() - started) * 1000, 1)


def shout(row: Row, victim: Victim) -> str:
    """Sends datagrams that belong to no connection; what comes back, if anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger_socket:
        stranger_socket.connect(("127.0.0.1", victim.port))
        stranger_socket.settimeout(SECONDS_SILENT)
        sent = [datagram for datagram in row.datagrams() if stranger_socket.send(datagram) >= 0]
        try:
            answer = stranger_socket.recv(65536)
        except TimeoutError:
            return "silence"
        # RFC 9000 §8.1: no more than three times what came; §10.3.3: less, for a reset.
        if len(answer) > 3 * len(sent[-1]):
            return f"{len(answer)} bytes"
        if not answer[0] & 0x80:
            return "reset" if len(answer) < len(sent[-1]) else f"{len(answer)} bytes of a reset"
        return "something" if any(answer[1:5]) else "version negotiation"


def whisper(row: Row, victim: Victim) -> str:
    """Sends packets with right keys in place of a first flight; how the server takes them."""
    with Dialler(victim.port, victim.configuration(), row) as dialler:
        quic = dialler.quic
        quic.datagrams_to_send(time.monotonic())
        for payload in row.send(quic.side):
            dialler.send(quic.packet(row.space, payload))
        dialler.wait(lambda: False, SECONDS_SILENT, flushes=False)
        return quic.outcome or "silence"


def play(row: Row, victim: Victim) -> str:
    """Breaks one rule; what came of it, in the words of `rules.row`."""
    if row.datagrams is not None:
        return shout(row, victim)
    if row.alone:
        return whisper(row, victim)
    with Dialler(victim.port, victim.configuration(), row) as dialler:
        quic = dialler.quic
        if row.send is not None:
            if row.space == APPLICATION:
                # By then the server has opened what it opens by itself.
                dialler.wait(lambda: quic.is_confirmed, SECONDS_MAX)
            else:
                # Ahead of the rest of the handshake, which is sent behind it.
                dialler.flush()
                dialler.wait(lambda: quic.can_send(row.space) and quic.is_ready, SECONDS_MAX, False)
            for payload in row.send(quic.side):
                dialler.send(quic.packet(row.space, payload, row.reserved))
                dialler.receive(0)
        else:
            dialler.wait(lambda: quic.is_ready, SECONDS_MAX)
        # Either it is closed, or a request behind the offence is answered.
        if quic.outcome is None and quic.is_ready:
            victim.fetch(dialler, HONEST_STREAM)
        codes = [code for number, code in quic.stream_codes.items() if number != HONEST_STREAM]
        if quic.outcome is not None:
            return quic.outcome
        if HONEST_STREAM not in quic.streams_ended:
            return "silence"
        return f"stream {codes[0]:#x}" if codes else OPEN


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--alpn", default="hq-interop")
    parser.add_argument("--file", required=True, help="what the server has")
    parser.add_argument("--only", default="", help="rows whose names contain this")
    options = parser.parse_args()
    victim = Victim(options.port, options.alpn, options.file)
    for row in TABLES[options.table]:
        if row.victim == "client" or options.only not in row.name:
            continue
        started = time.monotonic()
        outcome = play(row, victim)
        seconds = time.monotonic() - started
        report(
            row=row.name, rule=row.rule, outcome=outcome, expected=sorted(row.expected),
            seconds=round(seconds, 3), next_ms=victim.serves())


if __name__ == "__main__":
    main()
