"""When a case counts as passed, read from packets. Files and exit statuses are checked elsewhere.

Each rule takes the evidence, raises `Failure`, and may return a figure for the table.
"""

import dataclasses

from harness.suite import require
from matrix.verdict import Evidence
from packets import frames, parameters
from packets.trace import V1, V2, Connection, Packet

CERTIFICATE, CLIENT_HELLO, ENCRYPTED_EXTENSIONS = 11, 1, 8
STREAMS_MAX = 1000
CHACHA20 = 0x1303
NOT_ECT, CE = 0, 3
# RFC 9000 §8.1 says 3; the runner lets a packet more pass. Our own server has a bar of its own.
AMPLIFICATION_MAX = 4.0
LONG_CHAIN_BYTES = 7_500


@dataclasses.dataclass(frozen=True)
class Figure:
    """What a case measures."""

    value: float
    unit: str

    def __str__(self) -> str:
        digits = 1 if self.unit == "s" else 0 if self.unit == "paths" else 2
        return f"{self.value:.{digits}f} {self.unit}"


def plain(evidence: Evidence) -> None:
    """One connection in version 1."""
    evidence.require_handshakes(1)
    evidence.require_version()


def no_retry(evidence: Evidence) -> None:
    plain(evidence)
    require(not evidence.server.of("server", "retry"), "a Retry without need")


def long_rtt(evidence: Evidence) -> Figure:
    plain(evidence)
    hellos = [
        packet for packet in evidence.client.of("client", "initial")
        if any(frame.type == frames.CRYPTO and frame.offset == 0 for frame in packet.frames)
    ]
    require(len(hellos) >= 2, f"{len(hellos)} ClientHello, so it was not sent again")
    used = [one for one in evidence.client.of("client", "1rtt") if one.number is not None]
    require(bool(used), "the client never used its application keys")
    return Figure(used[0].datagram.seconds - hellos[0].datagram.seconds, "s")


def chacha20(evidence: Evidence) -> None:
    plain(evidence)
    hello = dict(evidence.server.connections[0].messages("client", "initial"))[CLIENT_HELLO]
    position = 35 + hello[34]
    size = int.from_bytes(hello[position:position + 2], "big")
    offered = {
        int.from_bytes(hello[index:index + 2], "big")
        for index in range(position + 2, position + 2 + size, 2)
    }
    # RFC 8701: values of the form 0x?a?a mean nothing; 0x00ff is a signal of older versions.
    offered = {suite for suite in offered if suite & 0x0F0F != 0x0A0A and suite != 0x00FF}
    require(offered == {CHACHA20}, f"offered: {sorted(map(hex, offered))}")


def multiplexing(evidence: Evidence) -> None:
    plain(evidence)
    streams = _transport_parameters(evidence.server.connections[0]).initial_max_streams_bidi or 0
    require(0 < streams <= STREAMS_MAX, f"the server allows {streams} streams")


def _transport_parameters(connection: Connection):
    found = parameters.of_server(connection.messages("server", "handshake"))
    require(found is not None, "no EncryptedExtensions could be read; are secrets logged?")
    return found


def retry(evidence: Evidence) -> None:
    plain(evidence)
    retries = evidence.client.of("server", "retry")
    require(bool(retries), "no Retry")
    token = retries[0].token
    before = [p.number for p in evidence.client.of("client", "initial") if not p.token]
    after = [p.number for p in evidence.client.of("client", "initial") if p.token == token]
    require(bool(after), "no Initial packet carries the token of the Retry")
    require(None not in before + after, "an Initial packet could not be read")
    # RFC 9000 §17.2.5.3: packet numbers go on after a Retry.
    require(min(after) > max(before), f"packet numbers {before}, then {after}")


def resumption(evidence: Evidence) -> None:
    evidence.require_handshakes(2)
    evidence.require_version()
    flights = [
        dict(connection.messages("server", "handshake"))
        for connection in evidence.server.connections
    ]
    require(
        all(ENCRYPTED_EXTENSIONS in flight for flight in flights), "a handshake could not be read")
    has_certificate = [CERTIFICATE in flight for flight in flights]
    require(has_certificate == [True, False], f"Certificate sent: {has_certificate}")


def key_update(evidence: Evidence) -> None:
    plain(evidence)
    for sender, trace in (("client", evidence.client), ("server", evidence.server)):
        count = sum(packet.key_phase for packet in trace.of(sender, "1rtt"))
        require(count > 0, f"no packet of the second key phase from the {sender}")


def ecn(evidence: Evidence) -> None:
    plain(evidence)
    for sender, trace in (("client", evidence.client), ("server", evidence.server)):
        sent = trace.of(sender)
        marks = [packet.datagram.ecn for packet in sent]
        require(
            NOT_ECT not in marks and CE not in marks,
            f"{marks.count(NOT_ECT)} of {len(marks)} packets of the {sender} without mark, "
            f"{marks.count(CE)} with CE")
        require(
            any(packet.has(frames.ACK_ECN) for packet in sent),
            f"the {sender} reports no marks")


def amplification(evidence: Evidence) -> Figure:
    plain(evidence)
    trace, received, sent, worst = evidence.server, 0, 0, 0.0
    crypto = sum(
        len(trace.connections[0].crypto("server", level)) for level in ("initial", "handshake"))
    require(crypto >= LONG_CHAIN_BYTES, f"the server's handshake has only {crypto} bytes")
    require(not trace.of("server", "vn"), "a Version Negotiation packet")
    seen = set()
    for packet in trace.packets:
        # RFC 9000 §8.1: a Handshake packet proves that the client is where it says.
        if packet.sender == "client" and packet.type == "handshake" and packet.number is not None:
            break
        if id(packet.datagram) in seen:
            continue
        seen.add(id(packet.datagram))
        size = len(packet.datagram.payload)
        if packet.sender == "client":
            received += size
        else:
            sent += size
            worst = max(worst, sent / received)
    require(worst < AMPLIFICATION_MAX, f"the server sent {worst:.2f} times what it had received")
    return Figure(worst, "times")


def fifty(evidence: Evidence) -> Figure:
    evidence.require_handshakes(50)
    evidence.require_version()
    return _duration(evidence)


def took(evidence: Evidence) -> Figure:
    """A plain case whose duration has a bar."""
    plain(evidence)
    return _duration(evidence)


def _duration(evidence: Evidence) -> Figure:
    """From the first to the last packet that the client sent."""
    packets = evidence.client.of("client")
    return Figure(packets[-1].datagram.seconds - packets[0].datagram.seconds, "s")


def ipv6(evidence: Evidence) -> None:
    plain(evidence)
    require(
        not any(packet.datagram.is_ipv4 for packet in evidence.server.packets),
        "a QUIC packet over IPv4")


def version_2(evidence: Evidence) -> None:
    evidence.require_handshakes(1)
    first = evidence.client.of("client", "initial")[0].version
    require(first == V1, f"the client began with {first:#x}")
    evidence.require_version(V2)
    versions = {packet.version for packet in evidence.server.packets if packet.type == "handshake"}
    require(versions == {V2}, f"Handshake packets in {sorted(map(hex, versions))}")


def rebound(evidence: Evidence) -> Figure:
    """RFC 9000 §9.3: whoever moves, or seems to, is asked before anything else on the new path."""
    plain(evidence)
    paths, challenges = [], set()
    for packet in evidence.server.of("server", "1rtt"):
        path = packet.datagram.source, packet.datagram.destination
        # RFC 9000 §9.1: who asks first whether a path is good has not moved to it yet.
        if path in paths or paths and _only_answers(packet):
            continue
        if paths:
            found = [frame for frame in packet.frames if frame.type == frames.PATH_CHALLENGE]
            require(bool(found), f"no PATH_CHALLENGE in the first packet to path {len(paths) + 1}")
            challenges |= {frame.data for frame in found}
        paths.append(path)
    require(len(paths) > 1, "the server used a single path")
    responses = {
        frame.data for packet in evidence.server.of("client", "1rtt") for frame in packet.frames
        if frame.type == frames.PATH_RESPONSE
    }
    missing = len(challenges - responses)
    require(missing == 0, f"{missing} of {len(challenges)} challenges without response")
    return Figure(len(paths), "paths")


def _only_answers(packet: Packet) -> bool:
    return {frame.type for frame in packet.frames} == {frames.PATH_RESPONSE}


def migrated(evidence: Evidence) -> Figure:
    """RFC 9000 §9.6: the client goes where the server would rather have it, under another ID."""
    offered = _transport_parameters(evidence.server.connections[0]).preferred_address
    require(offered is not None, "the server prefers no address")
    preferred = {offered.ipv4_address, offered.ipv6_address}
    paths: dict[tuple, bytes] = {}
    for packet in evidence.client.of("client", "1rtt"):
        path = packet.datagram.source, packet.datagram.destination
        if path not in paths:
            identifier = packet.destination_id
            require(identifier not in paths.values(), f"path {len(paths) + 1} has an ID of another")
            paths[path] = identifier
    require(len(paths) == 2, f"{len(paths)} paths of the client")
    last = evidence.client.of("client", "1rtt")[-1].datagram.destination
    require(last in preferred, f"the client ended at {last}, not at one of {preferred}")
    return rebound(evidence)


def rebound_address(evidence: Evidence) -> Figure:
    addresses = {packet.datagram.source[0] for packet in evidence.server.of("client")}
    require(len(addresses) > 1, "the client had a single address")
    return rebound(evidence)


def goodput(evidence: Evidence, size: int) -> Figure:
    plain(evidence)
    times = [packet.datagram.seconds for packet in evidence.server.of("server", "1rtt")]
    return Figure(8 * size / (times[-1] - times[0]) / 1e6, "Mbit/s")


def version_negotiation(evidence: Evidence) -> None:
    """RFC 9000 §17.2.1: the answer has both IDs of the question, exchanged."""
    answers = evidence.client.of("server", "vn")
    require(bool(answers), "no Version Negotiation packet")
    questions = {(p.source_id, p.destination_id) for p in evidence.client.of("client", "initial")}
    require(
        all((p.destination_id, p.source_id) in questions for p in answers),
        "Version Negotiation with other connection IDs")
