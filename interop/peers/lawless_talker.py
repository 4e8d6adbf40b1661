"""Speaks qtun/1 to a share, or qtun-relay/1 to a relay, and breaks its rules: `interop/rules/talk.py`.

    lawless_talker.py share --ticket TICKET
    lawless_talker.py relay --relay KEY@127.0.0.1:PORT

After each row an honest connection greets, and is answered. One line with a JSON object for each row.
"""

import argparse
import base64
import dataclasses
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.ticket import Ticket
from facts import report
from lawless import Dialler
from raw_keys import KeyedConnection, configuration
from rules import talk
from rules.row import APPLICATION, OPEN, Row
from rules.talk import Talk

SECONDS_MAX = 5
CONTROL, FLOW, ONE_WAY = 0, 4, 2


@dataclasses.dataclass
class Victim:
    """Whom it speaks to, and how an honest peer does."""

    port: int
    alpn: str
    identity: bytes
    capability: bytes = b""

    def dial(self, row: Row | None = None) -> Dialler:
        made = configuration(self.alpn, True, Ed25519PrivateKey.generate())
        return Dialler(self.port, made, row, KeyedConnection)

    def greeting(self, quic: KeyedConnection) -> bytes:
        if self.alpn == "qtun/1":
            return talk.hello(quic.proof(self.capability))
        return talk.RELAY_HELLO

    @property
    def question(self) -> bytes:
        """Something that is answered at once, however often it is asked."""
        if self.alpn == "qtun/1":
            return talk.message(talk.PING, talk.text(b"are you there"))
        return talk.FIND_NOBODY


class Conversation:
    """One connection, with its control stream."""

    def __init__(self, victim: Victim, dialler: Dialler) -> None:
        self._victim = victim
        self._dialler = dialler
        self._quic = dialler.quic
        self._sent = 0

    def say(self, data: bytes, is_slow: bool = False) -> None:
        for piece in [bytes([byte]) for byte in data] if is_slow else [data]:
            self._quic.send_stream_data(CONTROL, piece)
            if is_slow:
                self._dialler.flush()
        self._sent += len(data)

    @property
    def heard(self) -> int:
        return len(self._quic.bytes_received.get(CONTROL, b""))

    def begin(self) -> bool:
        quic = self._quic
        is_ready = self._dialler.wait(lambda: quic.is_confirmed, SECONDS_MAX)
        return bool(is_ready) and quic.tls._peer_certificate.identity == self._victim.identity

    def greet(self) -> bool:
        self.say(self._victim.greeting(self._quic))
        return bool(self._dialler.wait(lambda: self.heard, SECONDS_MAX))

    def is_answered(self) -> bool:
        # Whatever was still to come has come before the answer to the second question.
        for _ in range(2):
            before = self.heard
            self.say(self._victim.question)
            if not self._dialler.wait(lambda: self.heard > before, SECONDS_MAX):
                return False
        return True

    def play(self, row: Talk) -> str:
        quic, dialler = self._quic, self._dialler
        if row.greeting is None:
            if not self.greet():
                return quic.outcome or "no greeting"
        else:
            proof = quic.proof(self._victim.capability) if self._victim.capability else b""
            self.say(row.greeting(proof), row.is_slow)
            if OPEN in row.expected:
                dialler.wait(lambda: self.heard, SECONDS_MAX)
        if row.control:
            self.say(row.control)
        dialler.flush()
        for data in row.packets(FLOW, ONE_WAY):
            dialler.send(quic.packet(APPLICATION, data))
        if row.ending and (packet := quic.end_stream(CONTROL, row.ending, self._sent)):
            dialler.send(packet)
        if row.flow is not None and not row.ends_connection:
            dialler.wait(lambda: FLOW in quic.stream_codes, SECONDS_MAX)
        elif OPEN not in row.expected:
            dialler.wait(lambda: False, SECONDS_MAX)
        if quic.outcome is not None:
            return quic.outcome
        if not self.is_answered():
            return quic.outcome or "silence"
        return f"stream {quic.stream_codes[FLOW]:#x}" if FLOW in quic.stream_codes else OPEN


def play(row: Talk, victim: Victim) -> str:
    with victim.dial() as dialler:
        conversation = Conversation(victim, dialler)
        return conversation.play(row) if conversation.begin() else "no handshake"


def serves(victim: Victim) -> float | None:
    """The milliseconds until an honest peer is answered."""
    started = time.monotonic()
    with victim.dial() as dialler:
        conversation = Conversation(victim, dialler)
        if not (conversation.begin() and conversation.greet() and conversation.is_answered()):
            return None
    return round((time.monotonic() - started) * 1000, 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", choices=["share", "relay"])
    parser.add_argument("--ticket", type=Ticket.parse)
    parser.add_argument("--relay")
    parser.add_argument("--only", default="", help="rows whose names contain this")
    options = parser.parse_args()
    if options.table == "share":
        ticket = options.ticket
        victim = Victim(ticket.udp_port, "qtun/1", ticket.identity, ticket.capability)
    else:
        key, _, address = options.relay.partition("@")
        identity = base64.b32decode(key.upper() + "=" * (-len(key) % 8))
        victim = Victim(int(address.rsplit(":", 1)[1]), "qtun-relay/1", identity)
    for row in talk.TABLES[options.table]:
        if options.only not in row.name:
            continue
        started = time.monotonic()
        outcome = play(row, victim)
        seconds = time.monotonic() - started
        report(
            row=row.name, rule=f"docs/protocol.md, {row.rule}", outcome=outcome,
            expected=sorted(row.expected), seconds=round(seconds, 3), next_ms=serves(victim))


if __name__ == "__main__":
    main()
